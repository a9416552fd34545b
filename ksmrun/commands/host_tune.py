"""`ksmrun host tune`: set ksmd's speed by a target instead of by tunables."""

from __future__ import annotations

import os
import re
from dataclasses import asdict
from typing import Annotated

import typer

from ksmrun.commands.output import (
    parse_share,
    print_json,
    print_line,
    print_table,
    sudo_line,
)
from ksmrun.commands.table import Column
from ksmrun.experiment.scan_cost import cost_by_trial
from ksmrun.facts.host import read_host
from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.pages import PAGE_BYTES
from ksmrun.host.others import boot_files, running_tuners
from ksmrun.host.record import state_folder
from ksmrun.host.tunables import set_tunables
from ksmrun.model import EXIT_USAGE, KsmrunError
from ksmrun.model.tuning import Intent, Memory, ScanCost, TunePlan
from ksmrun.observe.scanning import (
    cost_since_boot,
    mergeable_memory,
    scan_rate,
)
from ksmrun.plan.tuning import ASSUMED, PROFILES, tuned

SCHEMA = "ksmrun-tune-1"
MIB, GIB = 1 << 20, 1 << 30
MEASURE_SECONDS = 2.0
UNITS_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}

PassTime = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Of a pass over what is mergeable now: 60s, 5m."),
]
MaxCpu = Annotated[str | None, typer.Option(metavar="SHARE", help="Of one core, for ksmd: 20%.")]
Profile = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(PROFILES),
        help=", ".join(f"{name}: {each.cpu_share_max:.0%}" for name, each in PROFILES.items())
        + " of a core.",
    ),
]


def tune(
    pass_time: PassTime = None,
    max_cpu: MaxCpu = None,
    profile: Profile = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, and set nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the plan as one JSON object.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Even where something else tunes this host.")
    ] = False,
) -> None:
    """Set ksmd's speed by a target. The plan is shown first.

    For fast merging after each start and hardly any work when idle: `ksmrun monitor --auto`.
    """
    intent = parse_intent(pass_time, max_cpu, profile)
    words = ["host", "tune", *intent_words(pass_time, max_cpu, profile)]
    if not dry_run and os.geteuid() != 0 and not os.environ.get("KSMRUN_STATE_DIR"):
        raise KsmrunError(
            "tuning KSM needs root", f"run: {sudo_line(words)}, or see the plan: --dry-run"
        )
    if not read_ksm(ROOT).present:
        raise KsmrunError(
            "/sys/kernel/mm/ksm is not there: no KSM in this kernel, or /sys is not mounted",
            "mount /sys, or boot a kernel with CONFIG_KSM=y",
        )
    # The advisor is used here as a means: only what it sets counts as a change.
    running = running_tuners()
    if running and not (dry_run or force):
        raise KsmrunError(running[0].what, f"{running[0].todo}; or --force, to set it beside")
    plan, memory, cost = made_plan(intent, may_try=not dry_run)
    if as_json:
        print_json(SCHEMA, **asdict(plan), memory=asdict(memory), cost=asdict(cost))
    else:
        _print(plan, memory, cost)
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
    rate = scan_rate(MEASURE_SECONDS)
    if rate is not None:
        scanned = rate.pages_per_second
        speed = "" if scanned is None else f", {scanned * PAGE_BYTES / MIB:.0f} MiB/s scanned"
        print_line(f"now: ksmd takes {rate.cpu_share:.1%} of a core{speed}")
    print_line("undo: ksmrun host restore")


def made_plan(intent: Intent, *, may_try: bool) -> tuple[TunePlan, Memory, ScanCost]:
    """Return the plan for this host, and the measurements behind it.

    may_try: may switch KSM on for a moment to measure the cost of a page, if it is unknown.
    """
    cost = cost_since_boot() or (cost_by_trial() if may_try else None) or ASSUMED
    memory = mergeable_memory(looks=True)
    return tuned(read_host(ROOT), memory, cost, intent), memory, cost


def parse_intent(pass_time: str | None, max_cpu: str | None, profile: str | None) -> Intent:
    """Parse the target. Raises KsmrunError."""
    if pass_time is None and max_cpu is None and profile is None:
        raise KsmrunError(
            "nothing is asked for",
            "give --pass-time 60s, --max-cpu 20%, or --profile balanced",
            EXIT_USAGE,
        )
    if profile is not None and profile not in PROFILES:
        raise KsmrunError(
            f"there is no profile {profile!r}", f"there are {', '.join(PROFILES)}", EXIT_USAGE
        )
    if profile is not None and max_cpu is not None:
        raise KsmrunError(
            "--profile and --max-cpu both say what ksmd may take", "give one of them", EXIT_USAGE
        )
    share = PROFILES[profile].cpu_share_max if profile else None
    if max_cpu is not None:
        share = parse_share("--max-cpu", max_cpu)
        if not share:
            raise KsmrunError("--max-cpu 0% is no work", "sudo ksmrun host off", EXIT_USAGE)
    return Intent(None if pass_time is None else _seconds(pass_time), share)


def intent_words(pass_time: str | None, max_cpu: str | None, profile: str | None) -> list[str]:
    """Return the target as command line words."""
    options = {"--pass-time": pass_time, "--max-cpu": max_cpu, "--profile": profile}
    return [f"{name}={value}" for name, value in options.items() if value is not None]


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|min|h|)", text)
    seconds = float(found[1]) * UNITS_SECONDS[found[2]] if found else 0.0
    if not 1 <= seconds <= 86400:
        raise KsmrunError(
            f"--pass-time {text!r} is no time from 1s to 24h", "for example 60s or 5m", EXIT_USAGE
        )
    return seconds


def _print(plan: TunePlan, memory: Memory, cost: ScanCost) -> None:
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
        print_line("all is set so already")
    size = memory.mergeable_pages * PAGE_BYTES / GIB
    print_line(
        f"expected: a pass over {size:.1f} GiB of {memory.processes} processes in "
        f"{plan.pass_seconds:.0f} s, {plan.cpu_share:.1%} of a core; "
        f"{cost.seconds_per_page * 1e6:.1f} µs a page, {cost.source}"
    )
    print_line("more while new memory merges, where a page takes several times as long")
    for what, todo in plan.advice:
        print_line(f"note: {what}; to do: {todo}")
