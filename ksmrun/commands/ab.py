"""`ksmrun ab`: the same fleet with and without merging, measured by turns."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ksmrun import __version__
from ksmrun.commands.ab_ksm import ksm_for, refuse_other_rate
from ksmrun.commands.ab_plan import (
    checked,
    read_gates,
    read_metrics,
    read_ready,
    refuse_what_cannot_run,
)
from ksmrun.commands.ab_show import announce, run_shown
from ksmrun.commands.numbers import seconds, whole
from ksmrun.commands.output import say
from ksmrun.commands.report import GateOption, print_report
from ksmrun.experiment.arms import DEFAULT, parse
from ksmrun.experiment.load import END_SECONDS_MAX
from ksmrun.experiment.store import PLAN, create, load_plan
from ksmrun.facts.host import read_host
from ksmrun.host.alone import alone
from ksmrun.host.tunables import parse_settings
from ksmrun.launch.keeper import kept
from ksmrun.model import EXIT_FAILURE, KsmrunError
from ksmrun.model.experiment import PRIMARY, ExperimentPlan
from ksmrun.report.gate import Gate

EPILOG = (
    "Example: sudo ksmrun ab -n 8 --ready-tcp '{port}' --ksm pages_to_scan=5000 -- "
    "./server --port {port:31000} --world w{i}"
)
EXIT_INTERRUPTED = 130
COPIES_MAX, ROUNDS_MAX = 100_000, 10_000
LOAD_HELP = (
    "It starts with the measurement (--hold), or with --warm-up, and is run again whenever it "
    f"ends. A run without its --metric by then gets {END_SECONDS_MAX:.0f} s more, then SIGINT."
)


def register(app: typer.Typer) -> None:
    """Add the command. What follows the options belongs to the program."""
    app.command(
        "ab",
        epilog=EPILOG,
        options_metavar="[OPTIONS] [--] COMMAND [ARG]...",
        context_settings={"allow_interspersed_args": False, "allow_extra_args": True},
    )(ab)


def ab(
    context: typer.Context,
    copies: Annotated[
        int,
        typer.Option(
            "-n",
            "--copies",
            parser=whole(1, COPIES_MAX),
            metavar="N",
            help="Number of copies to start.",
        ),
    ] = 8,
    rounds: Annotated[
        int,
        typer.Option(
            parser=whole(1, ROUNDS_MAX),
            metavar="N",
            help="Each runs every arm once. From 6 on intervals hold.",
        ),
    ] = 6,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME='OPTIONS'",
            help="A way to start, with options of `ksmrun run`; again for each. The first is the "
            "base. Else: off='--merge=off' and on=''.",
        ),
    ] = None,
    ready_stdout: Annotated[
        str | None, typer.Option(metavar="REGEX", help="Ready when its output has this.")
    ] = None,
    ready_tcp: Annotated[
        str | None, typer.Option(metavar="[HOST:]PORT", help="Ready when this accepts.")
    ] = None,
    ready_udp: Annotated[
        str | None, typer.Option(metavar="PORT", help="Ready when it has bound this.")
    ] = None,
    ready_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Ready when this is there.")
    ] = None,
    ready_cmd: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="Ready when this ends with 0.")
    ] = None,
    ready_after: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", parser=seconds(0), help="Ready after this time."),
    ] = None,
    ready_timeout: Annotated[float, typer.Option(metavar="SECONDS", parser=seconds(0))] = 180.0,
    load: Annotated[
        str | None, typer.Option(metavar="COMMAND", help=f"A load for each copy. {LOAD_HELP}")
    ] = None,
    fleet_load: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="The same, one for all copies.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=REGEX",
            help="A number in the load's output: the first group of the last match of each "
            "run, and the mean of all runs.",
        ),
    ] = None,
    metric_cmd: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COMMAND", help="A number that a command prints."),
    ] = None,
    primary: Annotated[
        str, typer.Option(metavar="METRIC", help="What decides: named before the start.")
    ] = PRIMARY,
    hold: Annotated[
        float, typer.Option(metavar="SECONDS", parser=seconds(0), help="How long to measure.")
    ] = 10.0,
    warm_up: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            parser=seconds(0),
            help="Before merging may settle. A load starts here then.",
        ),
    ] = 0.0,
    settle_max: Annotated[float, typer.Option(metavar="SECONDS", parser=seconds(0))] = 300.0,
    stagger: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            parser=seconds(0),
            help="Between starts: copies of one second can share seeds.",
        ),
    ] = 1.3,
    drop_caches: Annotated[
        bool, typer.Option("--drop-caches", help="Empty the page cache before each turn.")
    ] = False,
    ksm: Annotated[
        list[str] | None,
        typer.Option(metavar="TUNABLE=VALUE", help="Of KSM, for the experiment; then put back."),
    ] = None,
    hold_ksm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TUNABLE=VALUE",
            help="Another value while it is measured, as pages_to_scan=100: merging has settled.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A new folder for the results.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Go on with this experiment.")
    ] = None,
    gate: GateOption = None,
) -> None:
    """Measure a fleet with and without merging. By turns; says what merging saves and costs.

    In COMMAND, loads, --ready-* and --metric-cmd these are replaced: {i} number of the copy,
    {port:BASE} and {port} its port, {arm}, {dir} its scratch folder; {{ and }} are braces. Results
    are saved after each turn. With --gate the exit code is that of `ksmrun report --gate`.
    """
    if resume is not None:
        _refuse_other_options(context)
        plan, folder = load_plan(resume), resume
        refuse_what_cannot_run(plan)
    else:
        plan = ExperimentPlan(
            command=tuple(context.args),
            copies=copies,
            rounds=rounds,
            arms=parse(arm or DEFAULT),
            ready=read_ready(
                {
                    "stdout": ready_stdout,
                    "tcp": ready_tcp,
                    "udp": ready_udp,
                    "file": ready_file,
                    "cmd": ready_cmd,
                    "after": ready_after,
                },
                ready_timeout,
            ),
            primary=primary,
            load=load,
            fleet_load=fleet_load,
            metrics=read_metrics(metric or [], "output")
            + read_metrics(metric_cmd or [], "command"),
            tunables=parse_settings(ksm or []),
            hold_tunables=parse_settings(hold_ksm or []),
            stagger_seconds=stagger,
            warm_up_seconds=warm_up,
            settle_seconds_max=settle_max,
            hold_seconds=hold,
            drops_caches=drop_caches,
        )
        plan = checked(plan)
        folder = output or Path(datetime.now().strftime("ksmrun-ab-%Y%m%d-%H%M%S"))
    gates = read_gates(gate or [], plan)
    scratch = Path(tempfile.mkdtemp(prefix="ksmrun-ab-"))
    try:
        code = kept(lambda: _work(plan, folder, scratch, gates, is_new=resume is None))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    raise typer.Exit(code)


def _refuse_other_options(context: typer.Context) -> None:
    given = [
        f"--{name.replace('_', '-')}"
        for name in context.params
        if name not in ("resume", "gate") and _is_given(context, name)
    ]
    if given or context.args:
        raise KsmrunError(
            f"--resume takes all from its folder, not {', '.join(given) or 'a command'}",
            "leave it out, or start a new experiment",
        )


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _work(
    plan: ExperimentPlan, folder: Path, scratch: Path, gates: Sequence[Gate], *, is_new: bool
) -> int:
    """Run in the worker. Return the exit code; errors are printed here."""
    try:
        with alone(), ksm_for(plan):
            if is_new:
                create(folder, plan, _host())
            else:
                refuse_other_rate(folder)
            announce(plan, folder)
            run_shown(plan, folder, scratch)
    except KeyboardInterrupt:
        # This is repeated: the report of what is done comes first.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        say("interrupted; nothing is left running")
        _say_how_to_go_on(folder)
        _report_if_any(folder)
        return EXIT_INTERRUPTED
    except KsmrunError as error:
        say(str(error))
        _say_how_to_go_on(folder)
        return error.exit_code
    except OSError as error:
        say(f"{error.filename or 'a file'}: {error.strerror}; look at free space and permissions")
        return EXIT_FAILURE
    finally:
        # The keeper does this too, unless it was killed.
        shutil.rmtree(scratch, ignore_errors=True)
    return print_report(folder, gates)


def _host() -> dict[str, Any]:
    facts = read_host()
    return {
        "ksmrun": __version__,
        "kernel": facts.kernel,
        "cpus": os.cpu_count(),
        "mem_total_bytes": facts.mem_total_bytes,
        "swap_total_bytes": facts.swap_total_bytes,
        "thp_enabled": facts.thp_enabled,
        "max_map_count": facts.max_map_count,
        "page_bytes": facts.ksm.page_bytes,
        "ksm": dict(facts.ksm.values),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _say_how_to_go_on(folder: Path) -> None:
    if (folder / PLAN).exists():
        say(f"what was measured is kept; go on with: ksmrun ab --resume {folder}")


def _report_if_any(folder: Path) -> None:
    try:
        print_report(folder)
    except KsmrunError:
        return
