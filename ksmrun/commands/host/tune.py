"""`ksmrun host tune`: set ksmd's speed by a target instead of by tunables."""

from __future__ import annotations

import os
from dataclasses import asdict, replace

from ksmrun.commands.declare import Given
from ksmrun.commands.output import (
    print_json,
    print_line,
    print_table,
    sudo_line,
)
from ksmrun.commands.table import Column
from ksmrun.experiment.scan_cost import cost_by_trial
from ksmrun.facts.host import read_host
from ksmrun.facts.ksm import ROOT, require_ksm
from ksmrun.facts.pages import PAGE_BYTES
from ksmrun.host.auto import auto_tuner
from ksmrun.host.other_tuners import boot_files, running_tuners
from ksmrun.host.record import state_folder
from ksmrun.host.recorded import THREAD_NAMES, checked
from ksmrun.host.tunables import current, set_tunables
from ksmrun.model.errors import EXIT_USAGE, KsmrunError
from ksmrun.model.tuning import Intent, Knob, Memory, ScanCost, TunePlan
from ksmrun.observe.scanning import (
    cost_since_boot,
    mergeable_memory,
    scan_rate,
)
from ksmrun.options.host import ThreadOptions, TuneOptions
from ksmrun.options.item import items
from ksmrun.plan.tuning import ASSUMED, PROFILES, thread_knobs, tuned
from ksmrun.support.units import GIB, MIB, processes

SCHEMA = "ksmrun-tune-1"
MEASURE_SECONDS = 2.0


def tune(options: TuneOptions, given: Given) -> None:
    """Make the plan, show it, and carry it out."""
    # Whoever sets the rate repeatedly does not undo what is set of the thread.
    sets_rate = intent_of(options) is not None
    dry_run, as_json = options.dry_run, options.as_json
    if not dry_run and os.geteuid() != 0 and not os.environ.get("KSMRUN_STATE_DIR"):
        raise KsmrunError(
            "changing KSM needs root", f"run: {sudo_line(given.line)}, or see the plan: --dry-run"
        )
    require_ksm()
    # The advisor is used here as a means: only what it sets counts as a change.
    running = [*auto_tuner(state_folder()), *running_tuners()] if sets_rate else []
    if running and not (dry_run or options.force):
        raise KsmrunError(running[0].what, f"{running[0].todo}, or add --force")
    plan, memory, cost = made_plan(options, may_try=not dry_run)
    if as_json:
        found = {"memory": memory and asdict(memory), "cost": cost and asdict(cost)}
        print_json(SCHEMA, **asdict(plan), **found)
    else:
        _print(plan)
        if memory is not None and cost is not None:
            _print_expected(plan, memory, cost)
        for other in (*running, *boot_files(ROOT)):
            print_line(f"note: {other.what}; {other.todo}")
    if dry_run or not plan.changes:
        return
    settings = {knob.name: knob.then for knob in plan.changes}
    lines = set_tunables(settings, state_folder() / "host.json", ROOT)
    if as_json:
        return
    for line in lines:
        print_line(line)
    rate = scan_rate(MEASURE_SECONDS) if sets_rate else None
    if rate is not None:
        scanned = rate.pages_per_second
        speed = "" if scanned is None else f", {scanned * PAGE_BYTES / MIB:.0f} MiB/s scanned"
        print_line(f"now: ksmd takes {rate.cpu_share:.1%} of a core{speed}")
    print_line("undo: sudo ksmrun host restore")


def made_plan(
    options: ThreadOptions, *, may_try: bool
) -> tuple[TunePlan, Memory | None, ScanCost | None]:
    """Return the plan for this host, and the measurements behind a scan rate.

    may_try: may switch KSM on for a moment to measure the cost of a page, if it is unknown.
    """
    intent = intent_of(options)
    thread = thread_plan(options)
    if intent is None:
        return TunePlan(thread), None, None
    cost = cost_since_boot() or (cost_by_trial() if may_try else None) or ASSUMED
    memory = mergeable_memory(looks=True)
    plan = tuned(read_host(ROOT), memory, cost, intent)
    return replace(plan, knobs=(*plan.knobs, *thread)), memory, cost


def thread_plan(options: ThreadOptions) -> tuple[Knob, ...]:
    """Return what to set of the thread ksmd. Raises KsmrunError for what is not on this host."""
    if not asks_for_thread(options):
        return ()
    now = {name: current(ROOT, name) for name in THREAD_NAMES}
    knobs = thread_knobs(now, options.cpus, options.nice, idle=options.idle)
    found = [checked(ROOT, knob.name, knob.then, knob.now) for knob in knobs]
    return tuple(replace(knob, then=then) for knob, then in zip(knobs, found, strict=True))


def asks_for_thread(options: ThreadOptions) -> bool:
    """Return whether CPUs or priority of ksmd are to change."""
    return options.cpus is not None or options.nice is not None or options.idle


def intent_of(options: ThreadOptions) -> Intent | None:
    """Return the target; None if only the thread is to change. Raises KsmrunError."""
    if options.scan_time is None and options.max_cpu is None and options.profile is None:
        if asks_for_thread(options):
            return None
        raise KsmrunError(
            "no goal is given",
            "give --scan-time 60s, --max-cpu 20%, --profile balanced, --cpus, --nice or --idle",
            EXIT_USAGE,
        )
    if options.profile is not None and options.max_cpu is not None:
        raise KsmrunError(
            "--profile and --max-cpu both limit the CPU time of ksmd",
            "give one of them",
            EXIT_USAGE,
        )
    share = PROFILES[options.profile].cpu_share_max if options.profile else options.max_cpu
    return Intent(options.scan_time, share)


def intent_words(given: Given) -> list[str]:
    """Return the target as typed on the command line."""
    names = [item.name.removeprefix("--") for item in items(ThreadOptions)]
    return [
        f"--{name}" if given.words[name] is True else f"--{name}={given.words[name]}"
        for name in names
        if name in given.words
    ]


def _print(plan: TunePlan) -> None:
    rows = [[knob.name, knob.now, knob.then, knob.why] for knob in plan.changes]
    columns = [
        Column("tunable", "left"),
        Column("now", "left"),
        Column("then", "left"),
        Column("why", "fold"),
    ]
    if rows:
        print_table(columns, rows)
    else:
        print_line("nothing to change: every tunable has its planned value")


def _print_expected(plan: TunePlan, memory: Memory, cost: ScanCost) -> None:
    size = memory.mergeable_pages * PAGE_BYTES / GIB
    print_line(
        f"expected: a full scan of {size:.1f} GiB in {processes(memory.processes)} takes "
        f"{plan.full_scan_seconds:.0f} s, and ksmd {plan.cpu_share:.1%} of a core "
        f"({cost.seconds_per_page * 1e6:.1f} µs a page, {cost.source})"
    )
    print_line("while new memory merges ksmd takes more: a page then takes several times as long")
    for what, todo in plan.advice:
        print_line(f"note: {what}; to do: {todo}")
