"""Plan of a launch: the mechanism, the ksmrun-exec command line, and messages."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ksmrun.model.launch import (
    GuardMode,
    LayoutScope,
    Mechanism,
    MergeMode,
    Plan,
    Probe,
    Refusal,
    Request,
    SeedMode,
    TargetFacts,
    ThpMode,
)
from ksmrun.model.runtime import RuntimeVariables, Variable
from ksmrun.plan.domain import Denial, asks_domain, sets_flag_before
from ksmrun.plan.guard import Judgement, action
from ksmrun.plan.mechanism import (
    LOST_AT_EXEC,
    OFF,
    Choice,
    adds_vmas,
    is_never_scanned,
    not_preloadable,
)

NARROW_LAYOUT = (
    "a shared layout has 11 to 17 secret bits in a 32-bit program (ksmrun help security)"
)
NO_VARIABLES = RuntimeVariables()


def needs_judgement(request: Request, probe: Probe | None, choice: Choice) -> bool:
    """Return whether the map limit matters: merging adds VMAs, or the user gave a number.

    Looking for running copies walks /proc, which other launches are spared.
    """
    if request.merge is not MergeMode.ON or request.guard is GuardMode.OFF:
        return False
    return request.expect_maps is not None or adds_vmas(probe, choice)


def plan_launch(
    request: Request,
    launcher: bytes,
    probe: Probe | None,
    target: TargetFacts,
    choice: Choice,
    judgement: Judgement | None = None,
    shim: bytes | None = None,
    variables: RuntimeVariables = NO_VARIABLES,
    denied: Denial | None = None,
) -> Plan | Refusal:
    """Return the Plan for a request, or the Refusal that --require or --guard=refuse asks for.

    probe is None if the kernel could not be probed: then the launcher finds out by trying.
    choice is what choose() returns for these. judgement is None if the map limit does not matter.
    denied: why the trust domain of the program may not merge.
    """
    guarded: tuple[str, ...] = ()
    if denied is not None:
        if request.require:
            return Refusal(f"memory will not merge: {denied[0]}", denied[1])
        request, choice, judgement = replace(request, merge=MergeMode.OFF), OFF, None
        guarded = (
            f"memory will not merge: {denied[0]}; the program starts anyway; to do: {denied[1]}",
        )
    if judgement is not None:
        decision = action(judgement, request.guard)
        if decision == "refuse":
            return Refusal(judgement.message, judgement.todo, "--guard=refuse")
        if decision == "skip" and request.require:
            return Refusal(judgement.message, judgement.todo)
        if decision == "skip":
            request, choice = replace(request, merge=MergeMode.OFF), OFF
            guarded = (
                f"the program starts without merging: {judgement.message}; to do: {judgement.todo}",
            )
        elif decision == "warn":
            guarded = (f"the program starts merged: {judgement.message}; to do: {judgement.todo}",)
    # Only the launcher finds out whether the prctl works for this very process.
    if request.require and choice.mechanism is Mechanism.INJECT:
        return Refusal(
            "--mechanism=inject sets the merge flag after the program has started, too "
            "late for --require",
            "leave out --require or --mechanism=inject",
        )
    if request.require and choice.obstacle == LOST_AT_EXEC:
        return Refusal(f"memory will not merge: {choice.obstacle[0]}", choice.obstacle[1])
    if request.exclude_secrets and choice.obstacle is not None:
        if request.require:
            return Refusal(*choice.obstacle)
        request = replace(request, merge=MergeMode.OFF)
        what, todo = choice.obstacle
        guarded = (*guarded, f"{what}; the program starts anyway; to do: {todo}")
    merging = choice.mechanism is not None
    reasons = [choice.reason]
    if target.note is not None:
        reasons.append(f"nothing is known of the program: {target.note}")
    unreachable = not_preloadable(target, shim)
    if request.layout is not None and target.elf_class_bits == 32:
        reasons.append(NARROW_LAYOUT)
    if _shares_seeds(request):
        reasons.append(_seeds_reason(target, unreachable))
    reachable = shim if unreachable is None else None
    options = (
        *_options(request, probe, choice.mechanism, reachable),
        *_variables(variables.variables),
    )
    return Plan(
        mechanism=choice.mechanism,
        argv=(launcher, *options, b"--", *request.command),
        reasons=tuple(reasons),
        warnings=(*guarded, *(_warnings(probe, choice, judgement) if merging and probe else ())),
        said=() if variables.said is None else (variables.said,),
    )


def shell_line(plan: Plan) -> bytes:
    """Return the plan as one line to paste into a shell; words that are not UTF-8 survive."""
    return os.fsencode(shlex.join(os.fsdecode(word) for word in plan.argv))


def _options(
    request: Request, probe: Probe | None, mechanism: Mechanism | None, shim: bytes | None
) -> tuple[bytes, ...]:
    merge = request.merge
    if mechanism is Mechanism.PRELOAD and request.exclude_secrets:
        # An inherited flag is cleared: whoever does not load the shim does not merge.
        merge = MergeMode.OFF
    elif mechanism is Mechanism.PRELOAD:
        # Set after the exec, where setting it before would be useless. Static children inherit it
        # where an exec keeps it.
        merge = MergeMode.ON if sets_flag_before(mechanism, probe) else MergeMode.KEEP
    elif mechanism is Mechanism.MARK:
        # With an inherited flag, all memory would merge, which marking is meant to avoid.
        merge = MergeMode.OFF
    options = [b"--merge=" + merge.value.encode()]
    if mechanism is Mechanism.INJECT:
        options.append(b"--inject")
    merges_by_shim = mechanism in (Mechanism.PRELOAD, Mechanism.MARK)
    if shim is not None and (merges_by_shim or _shares_seeds(request)):
        options.append(b"--preload=" + shim)
        if words := _shim_words(request, probe, mechanism):
            options.append(b"--shim=" + b",".join(words))
    if request.layout is not None:
        options.append(b"--layout=shared")
        options.append(b"--layout-key=" + request.layout.key_file)
        if request.layout.label is not None:
            options.append(b"--layout-group=" + request.layout.label.encode())
        if request.layout.scope is LayoutScope.TREE:
            options.append(b"--layout-scope=tree")
        if request.layout.seeds is not SeedMode.SHARED:
            options.append(b"--seeds=" + request.layout.seeds.value.encode())
    return (*options, *_domain(request), *_switches(request))


def _switches(request: Request) -> tuple[bytes, ...]:
    wanted = {
        b"--thp=off": request.thp is ThpMode.OFF,
        b"--require": request.require,
        b"--quiet": request.quiet,
        b"--verify": request.verify,
    }
    return tuple(option for option, is_wanted in wanted.items() if is_wanted)


def _domain(request: Request) -> tuple[bytes, ...]:
    return (f"--domain={request.domain}".encode(),) if asks_domain(request) else ()


def _variables(variables: Iterable[Variable]) -> Iterator[bytes]:
    for variable in variables:
        option = "--prepend" if variable.is_prepended else "--variable"
        yield f"{option}={variable.name}={variable.text}".encode()


def merges_only_if_planned(request: Request) -> bool:
    """Return whether memory must not merge before it has been found out that it may."""
    return request.exclude_secrets or asks_domain(request)


def plain_options(request: Request) -> tuple[bytes, ...]:
    """Return the launcher's options that depend on neither kernel nor program."""
    merge = MergeMode.OFF if merges_only_if_planned(request) else request.merge
    return (b"--merge=" + merge.value.encode(), *_domain(request), *_switches(request))


def _shares_seeds(request: Request) -> bool:
    return request.layout is not None and request.layout.seeds is not SeedMode.OWN


def _seeds_reason(target: TargetFacts, unreachable: str | None) -> str:
    if unreachable is not None:
        return f"its runtime keeps its own seeds, because the shim cannot be used: {unreachable}"
    if target.elf_class_bits == 32:
        return "the shim gives Lua and malloc in it the group's seeds"
    return "the shim gives Lua, Node.js, Ruby, Java 17 and malloc in it the group's seeds"


def _shim_words(request: Request, probe: Probe | None, mechanism: Mechanism | None) -> list[bytes]:
    words = []
    if mechanism is Mechanism.MARK:
        words = [b"mark", b"min=%d" % request.mark_min_bytes]
        words.append(b"reserve=%d" % min(99, round(request.map_reserve * 100)))
    elif mechanism is not Mechanism.PRELOAD:
        # The shim is loaded only for the seeds.
        words = [b"keep"]
    else:
        words = [b"join"] if probe is not None and probe.vmas_merge is False else []
        # The launcher alone sets the flag, while it holds the lock of the domains.
        words += [b"keep"] if asks_domain(request) else []
    if request.exclude_secrets and mechanism is not None:
        words.append(b"secrets")
    return words if request.inherit else [*words, b"once"]


def _warnings(probe: Probe, choice: Choice, judgement: Judgement | None) -> tuple[str, ...]:
    warnings = []
    # What the launcher finds out itself (no prctl, flag lost at exec) it also reports itself.
    if choice.mechanism is Mechanism.PRCTL and is_never_scanned(probe) and probe.kept_over_exec:
        warnings.append(
            f"this kernel ({probe.kernel}) keeps the merge flag but may never scan the "
            f"program, as Linux {probe.known_not_scanned} do not; to do: watch `ksmrun "
            "ps`, and boot Linux 6.12 or later if nothing merges"
        )
    # Fixed by cf7e7a3503df (6.17), not backported.
    is_unknown = judgement is None or judgement.verdict == "unknown"
    if probe.prctl_supported and adds_vmas(probe, choice) and is_unknown:
        warnings.append(
            f"on this kernel ({probe.kernel}) the mappings of a merging program are not "
            "joined, so a growing heap approaches vm.max_map_count; to do: boot Linux "
            "6.17 or later, or run: sudo sysctl -w vm.max_map_count=1048576"
        )
    return tuple(warnings)
