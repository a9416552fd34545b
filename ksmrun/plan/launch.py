"""How a command is launched: the mechanism, the ksmrun-exec command line, and what to say first."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace

from ksmrun.model import (
    GuardMode,
    MergeMode,
    Plan,
    Probe,
    Refusal,
    Request,
    TargetFacts,
    ThpMode,
)
from ksmrun.plan.guard import Judgement, action

LOST_AT_EXEC = (
    "this kernel loses the merge flag at exec, as 6.4 to 6.6 do",
    "boot a kernel of 6.12 or later",
)


def obstacle_to_merging(probe: Probe) -> tuple[str, str] | None:
    """Why a launched program would not merge here, and what to do; None where it would."""
    if probe.prctl_supported is False:
        return (
            probe.prctl_obstacle_what or "prctl(PR_SET_MEMORY_MERGE) fails",
            probe.prctl_obstacle_todo or "look at `ksmrun-exec --probe`",
        )
    return LOST_AT_EXEC if probe.kept_over_exec is False else None


def needs_judgement(request: Request, probe: Probe | None) -> bool:
    """Whether the map limit matters: where merging makes more VMAs, or the user names a number.

    Looking for running copies costs a walk over /proc, which other launches are spared.
    """
    if request.merge is not MergeMode.ON or request.guard is GuardMode.OFF:
        return False
    return request.expect_maps is not None or (probe is not None and probe.vmas_merge is False)


def plan_launch(
    request: Request,
    launcher: bytes,
    probe: Probe | None,
    target: TargetFacts,
    judgement: Judgement | None = None,
) -> Plan | Refusal:
    """The Plan for a request, or the Refusal that --require or --guard=refuse asks for.

    probe is None where the kernel could not be asked: then the launcher finds out by doing.
    judgement is None where the map limit does not matter.
    """
    guarded: tuple[str, ...] = ()
    if judgement is not None:
        decision = action(judgement, request.guard)
        if decision == "refuse" or (decision == "skip" and request.require):
            return Refusal(judgement.message, judgement.todo)
        if decision == "skip":
            request = replace(request, merge=MergeMode.OFF)
            guarded = (f"starts without merging: {judgement.message}; to do: {judgement.todo}",)
        elif decision == "warn":
            guarded = (f"{judgement.message}; to do: {judgement.todo}",)
    merging = request.merge is MergeMode.ON
    obstacle = obstacle_to_merging(probe) if merging and probe is not None else None
    # Whether the prctl works for this very process, the launcher finds out by making it.
    if request.require and obstacle == LOST_AT_EXEC:
        return Refusal(f"memory will not merge: {obstacle[0]}", obstacle[1])
    mechanism = "prctl" if merging and obstacle is None else "none"
    return Plan(
        mechanism=mechanism,
        argv=(launcher, *_options(request), b"--", *request.command),
        reasons=_reasons(request, obstacle, target),
        warnings=(*guarded, *(_warnings(probe, judgement) if merging and probe else ())),
    )


def shell_line(plan: Plan) -> bytes:
    """The plan as one line to paste into a shell; words that are not UTF-8 survive."""
    return os.fsencode(shlex.join(os.fsdecode(word) for word in plan.argv))


def _options(request: Request) -> tuple[bytes, ...]:
    options = [b"--merge=" + request.merge.value.encode()]
    if request.thp is ThpMode.OFF:
        options.append(b"--thp=off")
    for wanted, option in (
        (request.require, b"--require"),
        (request.quiet, b"--quiet"),
        (request.verify, b"--verify"),
    ):
        if wanted:
            options.append(option)
    return tuple(options)


def _reasons(
    request: Request, obstacle: tuple[str, str] | None, target: TargetFacts
) -> tuple[str, ...]:
    reasons = []
    if request.merge is MergeMode.OFF:
        reasons.append("merging is off as asked: an inherited merge flag is cleared")
    elif request.merge is MergeMode.KEEP:
        reasons.append("the merge flag is left as it was inherited")
    elif obstacle is not None:
        reasons.append(f"no mechanism: {obstacle[0]}")
    else:
        reasons.append("prctl before exec: this kernel keeps the merge flag over it")
    if target.note is not None:
        reasons.append(f"the program is not known: {target.note}")
    return tuple(reasons)


def _warnings(probe: Probe, judgement: Judgement | None) -> tuple[str, ...]:
    warnings = []
    # What the launcher finds out by itself (no prctl, flag lost at exec) it also says by itself.
    if (
        probe.known_not_scanned is not None
        and probe.scanned_after_exec != "yes"
        and probe.kept_over_exec
    ):
        warnings.append(
            f"kernels {probe.known_not_scanned} keep the merge flag but never scan the program "
            f"(this is {probe.kernel}); to do: watch `ksmrun ps`, boot 6.12 or later"
        )
    # Fixed by cf7e7a3503df (6.17), not backported.
    is_unknown = judgement is None or judgement.verdict == "unknown"
    if probe.prctl_supported and probe.vmas_merge is False and is_unknown:
        warnings.append(
            f"on this kernel ({probe.kernel}) each new mapping of a merging program stays a VMA of "
            "its own, so a growing heap nears vm.max_map_count; to do: boot 6.17 or later, or "
            "raise it: sudo sysctl -w vm.max_map_count=1048576"
        )
    return tuple(warnings)
