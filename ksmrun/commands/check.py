"""`ksmrun check`: would memory merge here, and if not, what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from ksmrun.commands.client import asked_daemon
from ksmrun.commands.declare import Given, Registry, declare
from ksmrun.commands.output import print_json, print_note, print_table, say
from ksmrun.commands.table import Column, style_of, wants_json
from ksmrun.facts.allocator import linked_libraries
from ksmrun.facts.host import read_host
from ksmrun.facts.launcher import launcher_path, run_probe, shim_path
from ksmrun.facts.lua import find_lua
from ksmrun.facts.runtime import find_runtime
from ksmrun.facts.target import look_at
from ksmrun.host.key_memory import MASTER_KEY
from ksmrun.host.layout_keys import group_label, keys_folder
from ksmrun.launch.inplace import initial_arguments
from ksmrun.launch.prepare import judge, prepare
from ksmrun.launch.runtime_variables import variables_now
from ksmrun.model.launch import (
    LayoutMode,
    MergeMode,
    Plan,
    Refusal,
    Request,
    RuntimeFlags,
    SharedLayout,
    TargetFacts,
)
from ksmrun.model.runtime import Runtime, RuntimeVariables
from ksmrun.options.check import CHECK, CheckOptions
from ksmrun.plan.allocators import allocator_row
from ksmrun.plan.doctor import CheckRow, examine, would_merge
from ksmrun.plan.domain import Denial, asks_domain
from ksmrun.plan.guard import Judgement
from ksmrun.plan.java_heap import unmergeable_heap
from ksmrun.plan.launch import shell_line
from ksmrun.plan.mechanism import Choice, adds_vmas, not_preloadable
from ksmrun.plan.runtime_flags import flags_row
from ksmrun.plan.runtimes import gains_of, runtime_row
from ksmrun.plan.seeds import seeds_row

SCHEMA = "ksmrun-check-1"
# (flag, its effect, what to do)
Heap = tuple[str, str, str] | None
# Other machine types that a kernel runs natively.
RUNS_ON = {"x86_64": ("x86_64", "i386"), "aarch64": ("aarch64", "arm")}


def register(registry: Registry) -> None:
    """Add the command."""
    declare(registry, CHECK, check)


def check(options: CheckOptions, given: Given) -> None:
    """Examine host and program; exit with 0 where a program launched now would merge."""
    style = style_of(options)
    probe = run_probe()
    rows = examine(read_host(), probe)
    target: TargetFacts | None = None
    runtime: Runtime | None = None
    plan: Plan | None = None
    heap: Heap = None
    if given.rest:
        command = initial_arguments(len(given.rest))
        request = replace(options.request(command), layout=_layout(options))
        target = look_at(command[0], os.environb, command[1:])
        runtime = find_runtime(target)
        heap = _heap(runtime, command)
        launcher, shim = os.fsencode(launcher_path()), shim_path()
        variables = variables_now(request, target)
        in_domain = _refused(request, target)
        prepared = prepare(request, launcher, probe, target, shim, variables, in_domain)
        choice, judgement, notes = prepared.choice, prepared.judgement, prepared.notes
        if judgement is None:
            judgement, notes = judge(request, probe, target, choice)
        for note in notes:
            say(note)
        plan = None if isinstance(prepared.plan, Refusal) else prepared.plan
        rows = (
            *rows,
            *_client_rows(command),
            _program_row(target, probe.machine),
            _runtime_row(runtime, heap),
            *_flags_rows(request, target, runtime, variables),
            _map_row(judgement, adds_vmas(probe, choice)),
            *_domain_rows(request, prepared.denied),
            _plan_row(prepared.plan, request, choice, judgement, prepared.denied),
            *_seeds_rows(target, runtime, not_preloadable(target, shim)),
            *_lua_rows(target, not_preloadable(target, shim)),
            *_allocator_rows(target),
        )
    merges = would_merge(rows)
    if wants_json(options):
        print_json(
            SCHEMA,
            merges=merges,
            rows=[asdict(row) for row in rows],
            probe=asdict(probe),
            target=None if target is None else asdict(target),
            runtime=None if runtime is None else _runtime(runtime, heap),
            mechanism=None if plan is None else plan.mechanism,
            command_line=None if plan is None else _command_line(plan),
        )
    else:
        columns = [
            Column("", "left"),
            Column("item", "left"),
            Column("found", "fold"),
            Column("to do", "fold"),
        ]
        print_table(columns, [[row.status, row.item, row.found, row.todo] for row in rows], style)
        if plan is not None:
            print_note(f"command line: {_command_line(plan)}", style)
        print_note(_verdict(rows, merges), style)
    raise SystemExit(0 if merges else 1)


def _refused(request: Request, target: TargetFacts) -> Denial | None:
    """Return why the trust domain could not merge now, without claiming it."""
    if request.domain is None:
        return None
    # Imported here: few commands name a domain.
    from ksmrun.launch.domain import check_domain, refused

    check_domain(request.domain)
    return refused(request.domain, target, claims=False) if asks_domain(request) else None


def _domain_rows(request: Request, denied: Denial | None) -> Iterator[CheckRow]:
    if not asks_domain(request):
        return
    if denied is not None:
        yield CheckRow("trust domain", "fail", *denied)
        return
    yield CheckRow("trust domain", "ok", f"{request.domain} may merge now")


def _heap(runtime: Runtime | None, command: tuple[bytes, ...]) -> Heap:
    """Return what keeps the heap of a Java program from merging."""
    if runtime is None or runtime.name != "OpenJDK" or runtime.is_inside:
        return None
    return unmergeable_heap([os.fsdecode(word) for word in command[1:]], os.environ)


def _runtime_row(runtime: Runtime | None, heap: Heap) -> CheckRow:
    if runtime is None:
        return runtime_row(None, None)
    return runtime_row(
        runtime.name,
        runtime.evidence,
        heap,
        is_inside=runtime.is_inside,
        version=runtime.version,
        major=runtime.major,
    )


def _flags_rows(
    request: Request, target: TargetFacts, runtime: Runtime | None, variables: RuntimeVariables
) -> Iterator[CheckRow]:
    """Yield what --runtime-flags sets, or would set."""
    mode = request.runtime_flags
    if mode is RuntimeFlags.OFF:
        variables = variables_now(replace(request, runtime_flags=RuntimeFlags.MERGE), target)
    row = flags_row(mode, runtime, variables)
    if row is not None:
        yield row


def _runtime(runtime: Runtime, heap: Heap) -> dict[str, object]:
    hidden = heap is not None or runtime.is_inside
    gains = None if hidden else gains_of(runtime.name, runtime.major)
    return {**asdict(runtime), "gains": None if gains is None else asdict(gains)}


def _command_line(plan: Plan) -> str:
    return shell_line(plan).decode("utf-8", "backslashreplace")


def _verdict(rows: tuple[CheckRow, ...], merges: bool) -> str:
    if merges:
        return "A program launched now would merge."
    first = next(row for row in rows if row.status == "fail")
    return f"Nothing would merge: {first.found}; to do: {first.todo}"


def _layout(options: CheckOptions) -> SharedLayout | None:
    """Return what `ksmrun run` would share, without making the key."""
    if options.layout is not LayoutMode.SHARED:
        return None
    folder = keys_folder()
    file, label = os.fsencode(folder / MASTER_KEY), group_label(folder, options.layout_group)
    return options.shared(file, label)


def _plan_row(
    plan: Plan | Refusal,
    request: Request,
    choice: Choice,
    judgement: Judgement,
    denied: Denial | None,
) -> CheckRow:
    if isinstance(plan, Refusal):
        return CheckRow("plan", "fail", f"{plan.what}; not started", plan.todo)
    if request.merge is not MergeMode.ON:
        found = f"--merge={request.merge} does not ask for merging"
        return CheckRow("plan", "fail", found, "leave --merge and KSMRUN_MERGE out")
    if denied is not None:
        return CheckRow("plan", "fail", "its trust domain has it start without merging", denied[1])
    if plan.mechanism is None:
        # Merging is not switched off here, so the guard did it.
        found = f"the guard starts it without merging: {judgement.message}"
        return CheckRow("plan", "fail", found, judgement.todo)
    found = f"{plan.mechanism}: {'; '.join(plan.reasons)}"
    if choice.obstacle is not None:
        return CheckRow("plan", "fail", found, choice.obstacle[1])
    return CheckRow("plan", "ok", found)


def _client_rows(command: tuple[bytes, ...]) -> Iterator[CheckRow]:
    client = asked_daemon(command)
    if client is not None:
        yield CheckRow("client", "fail", client.found, client.way)


def _seeds_rows(
    target: TargetFacts, runtime: Runtime | None, unreachable: str | None
) -> Iterator[CheckRow]:
    row = seeds_row(runtime, target.libc, unreachable)
    if row is not None:
        yield row


def _lua_rows(target: TargetFacts, unreachable: str | None) -> Iterator[CheckRow]:
    """Yield the effect of a shared layout on Lua, whose hash seeds make copies differ."""
    lua = None if target.path is None else find_lua(Path(target.path))
    if lua is None:
        return
    found = f"{lua.name} inside: equal tables differ from copy to copy"
    if unreachable is not None:
        found += f", with a shared layout too, as the shim cannot be used: {unreachable}"
    elif not lua.is_named:
        found += ", with a shared layout too, as its functions have no names for the shim to find"
    else:
        yield CheckRow("Lua", "ok", found, "ksmrun run --layout=shared, which shares their seed")
        return
    yield CheckRow("Lua", "warn", found, "use a build that is linked with the library of Lua")


def _allocator_rows(target: TargetFacts) -> Iterator[CheckRow]:
    """Yield what a library instead of libc's malloc means for copies."""
    if target.path is None or target.elf_class_bits is None:
        return
    row = allocator_row(linked_libraries(Path(target.path), os.environ), os.environ)
    if row is not None:
        yield row


def _map_row(judgement: Judgement, splits: bool) -> CheckRow:
    if judgement.verdict == "unknown":
        # Where VMAs join, merging does not bring a program nearer to the limit.
        todo = "start a copy and check again, or give ksmrun run --expect-maps N" if splits else ""
        return CheckRow("map limit", "ok", f"unknown: {judgement.arithmetic}", todo)
    if judgement.verdict == "fits":
        return CheckRow("map limit", "ok", judgement.message)
    return CheckRow("map limit", "warn", judgement.message, judgement.todo)


def _program_row(target: TargetFacts, host_machine: str) -> CheckRow:
    if target.path is None:
        return CheckRow("program", "fail", target.note or "not found", "check its name and PATH")
    if target.elf_class_bits is None:
        found = target.note or f"{target.path}: unknown"
        return CheckRow("program", "warn", found, "start it by hand to see whether it runs")
    if target.machine not in RUNS_ON.get(host_machine, (host_machine, target.machine)):
        return CheckRow(
            "program",
            "fail",
            f"{target.path} is built for {target.machine}, this is {host_machine}",
            "use one built for this machine: an emulator does not pass the merge flag on",
        )
    kind = "dynamic" if target.dynamic else "static"
    parts = [
        f"{target.path}: {target.machine}, {target.elf_class_bits}-bit, {kind}",
        "position-independent" if target.pie else "at a fixed address",
    ]
    if target.libc is not None:
        parts.append(f"{target.libc} ({target.loader})")
    if target.setuid or target.setgid:
        parts.append("changes user or group at exec; the merge flag stays")
    if target.interpreters:
        parts.append("started by " + ", ".join(target.interpreters))
    return CheckRow("program", "ok", ", ".join(parts))
