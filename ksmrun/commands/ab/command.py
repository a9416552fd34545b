"""`ksmrun ab`: the same fleet with and without merging, measured by turns."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ksmrun import __version__
from ksmrun.commands.ab.ksm import ksm_for, refuse_other_rate
from ksmrun.commands.ab.plan import (
    checked,
    planned_experiment,
    read_gates,
    refuse_what_cannot_run,
)
from ksmrun.commands.ab.show import announce, run_shown
from ksmrun.commands.declare import Given, Registry, declare
from ksmrun.commands.output import say
from ksmrun.commands.report import print_report
from ksmrun.experiment.store import PLAN, count_results, create, load_plan
from ksmrun.facts.host import read_host
from ksmrun.facts.pids import require_proc
from ksmrun.host.exclusive import alone
from ksmrun.launch.keeper import kept
from ksmrun.model.errors import EXIT_FAILURE, EXIT_USAGE, KsmrunError
from ksmrun.model.experiment import ExperimentPlan
from ksmrun.options.ab import AB, AbOptions
from ksmrun.report.gate import Gate

EXIT_INTERRUPTED = 130


def register(registry: Registry) -> None:
    """Add the command. What follows the options is the program's."""
    declare(registry, AB, ab)


def ab(options: AbOptions, given: Given) -> None:
    """Run the experiment, or go on with one, and report it."""
    require_proc()
    if options.resume is not None:
        _refuse_other_options(given)
        plan, folder = load_plan(options.resume), options.resume
        refuse_what_cannot_run(plan)
    else:
        plan = checked(planned_experiment(options, given.rest))
        folder = options.output or Path(datetime.now().strftime("ksmrun-ab-%Y%m%d-%H%M%S"))
    gates = read_gates(options.gate, plan)
    scratch = Path(tempfile.mkdtemp(prefix="ksmrun-ab-"))
    try:
        code = kept(lambda: _work(plan, folder, scratch, gates, is_new=options.resume is None))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    raise SystemExit(code)


def _refuse_other_options(given: Given) -> None:
    others = [f"--{name}" for name in given.words if name not in ("resume", "gate")]
    if others or given.rest:
        raise KsmrunError(
            "--resume reads everything from its folder, and "
            f"{', '.join(others) or 'a command'} is given too",
            "leave that out, or start a new experiment",
            EXIT_USAGE,
        )


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
        say("interrupted; every copy was stopped")
        _say_how_to_go_on(folder)
        _report_if_any(folder)
        return EXIT_INTERRUPTED
    except KsmrunError as error:
        say(str(error))
        _say_how_to_go_on(folder)
        return error.exit_code
    except OSError as error:
        say(f"{error.filename or 'a file'}: {error.strerror}; check its permissions and free space")
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
    if not (folder / PLAN).exists():
        return
    done = count_results(folder)
    if done:
        say(f"the measurements of {done} arms are kept; continue with: ksmrun ab --resume {folder}")
    else:
        say(
            "nothing was measured; correct the command and start again, or if the "
            f"cause is gone, continue with: ksmrun ab --resume {folder}"
        )


def _report_if_any(folder: Path) -> None:
    try:
        print_report(folder)
    except KsmrunError:
        return
