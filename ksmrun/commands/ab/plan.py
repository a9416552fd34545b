"""Turn the options of `ksmrun ab` into a plan, and refuse what cannot run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from ksmrun.experiment.arms import DEFAULT, parse, planned
from ksmrun.experiment.custom_metrics import check_metric
from ksmrun.experiment.placeholders import Instance, expand, first_port
from ksmrun.experiment.ready import checker, port_number
from ksmrun.experiment.summary import HOLD_METRICS
from ksmrun.experiment.traffic import refuse_no_command
from ksmrun.host.tunables import parse_settings
from ksmrun.model.errors import EXIT_USAGE, KsmrunError, UsageError
from ksmrun.model.experiment import ExperimentPlan, Metric, Ready
from ksmrun.options.ab import AbOptions, ReadyOptions
from ksmrun.options.item import SECONDS_MAX, Item, Kind
from ksmrun.options.parse import parse as parse_value
from ksmrun.report.gate import Gate, parse_gates
from ksmrun.report.statistics import ROUNDS_MIN
from ksmrun.support.advice import require_module
from ksmrun.support.words import quoted, shortened

# Also checked in a saved plan.
SECONDS = Item("", Kind.SECONDS, least=0.0, most=SECONDS_MAX)


def planned_experiment(options: AbOptions, command: tuple[str, ...]) -> ExperimentPlan:
    """Return what the options ask for. Raises KsmrunError for what is no arm, metric or tunable."""
    return ExperimentPlan(
        command=tuple(map(_from_here, command[:1])) + command[1:],
        copies=options.copies,
        rounds=options.rounds,
        arms=parse(options.arm or DEFAULT),
        ready=_ready(options),
        primary=options.primary,
        load=_load_from_here(options.load),
        fleet_load=_load_from_here(options.fleet_load),
        metrics=read_metrics(options.metric, "output")
        + read_metrics(options.metric_cmd, "command"),
        tunables=parse_settings(options.ksm),
        hold_tunables=parse_settings(options.hold_ksm),
        stagger_seconds=options.stagger_seconds,
        warm_up_seconds=options.warm_up_seconds,
        settle_seconds_max=options.settle_seconds_max,
        hold_seconds=options.hold_seconds,
        drops_caches=options.drop_caches,
    )


def _from_here(program: str) -> str:
    """Return a program of this folder by its whole path: copies and loads run in their own."""
    if "/" not in program or program.startswith("/") or not Path(program).exists():
        return program
    # Braces would be placeholders.
    return str(Path(str(Path.cwd()).replace("{", "{{").replace("}", "}}")) / program)


def _load_from_here(text: str | None) -> str | None:
    words = (text or "").split(maxsplit=1)
    if text is None or not words or not text.startswith(words[0]):
        return text
    found = _from_here(words[0])
    return text if found == words[0] else shlex.quote(found) + text[len(words[0]) :]


def _ready(options: ReadyOptions) -> Ready:
    """Return the readiness check that was given. Raises KsmrunError for none or several."""
    ways = {
        "stdout": options.ready_stdout,
        "tcp": options.ready_tcp,
        "udp": options.ready_udp,
        "file": options.ready_file,
        "cmd": options.ready_cmd,
        "after": options.ready_after_seconds,
    }
    found = [(kind, str(value)) for kind, value in ways.items() if value is not None]
    if len(found) != 1:
        raise KsmrunError(
            f"{len(found) or 'no'} options say when a copy is ready",
            "give one of --ready-stdout, --ready-tcp, --ready-udp, --ready-file, "
            "--ready-cmd and --ready-after",
            EXIT_USAGE,
        )
    return Ready(*found[0], options.ready_timeout_seconds)


def read_metrics(texts: Sequence[str], kind: str) -> tuple[Metric, ...]:
    """Parse NAME=VALUE. Raises KsmrunError."""
    metrics = []
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark or not name.isidentifier() or not value:
            raise UsageError(
                f"{quoted(text)} is not a custom metric, NAME=VALUE",
                r"give for example --metric p99='p99: ([0-9.]+)'",
            )
        metrics.append(Metric(name, kind, value))
    return tuple(metrics)


def read_gates(texts: Sequence[str], plan: ExperimentPlan) -> tuple[Gate, ...]:
    """Return the gates. Raises KsmrunError for gates that could not be judged in the end."""
    gates = parse_gates(texts, _known_metrics(plan))
    if gates and plan.rounds < ROUNDS_MIN:
        raise KsmrunError(
            f"--gate judges {ROUNDS_MIN} rounds or more, and --rounds is {plan.rounds}",
            f"give --rounds {ROUNDS_MIN}",
            EXIT_USAGE,
        )
    if gates and len(plan.arms) < 2:
        raise KsmrunError(
            "--gate compares arms, and there is only one", "give a second --arm", EXIT_USAGE
        )
    return gates


def checked(plan: ExperimentPlan) -> ExperimentPlan:
    """Return the plan with the launcher's options of each arm.

    Raises KsmrunError if it cannot run.
    """
    if not plan.command:
        raise KsmrunError("no command given", "see `ksmrun ab --help`", EXIT_USAGE)
    refuse_what_cannot_run(plan)
    last = Instance(plan.copies - 1, plan.arms[0].name, "/tmp")
    words = [expand(word, last, first_port(plan.command)) for word in plan.command]
    arms = tuple(planned(each, words) for each in plan.arms)
    return replace(plan, arms=arms)


def refuse_what_cannot_run(plan: ExperimentPlan) -> None:
    """Raise KsmrunError if the plan cannot run; also checked when it is resumed."""
    if any(metric.kind == "output" for metric in plan.metrics) and not (
        plan.load or plan.fleet_load
    ):
        raise UsageError(
            "--metric is given without a load whose output it reads", "add --load or --fleet-load"
        )
    _refuse_bad_times(plan)
    _refuse_unreportable(plan)
    for option, command in (("--load", plan.load), ("--fleet-load", plan.fleet_load)):
        if command is not None:
            refuse_no_command(option, command)
    port = first_port(plan.command)
    last = Instance(plan.copies - 1, plan.arms[0].name, "/tmp")
    for text in (*plan.command, plan.load or "", plan.fleet_load or ""):
        expand(text, last, port)
    if plan.ready.kind != "stdout":
        expand(plan.ready.value, last, port)
    for metric in plan.metrics:
        check_metric(metric, last, port)
    checker(plan.ready, port)
    _refuse_used_ports(plan, port)


def _refuse_bad_times(plan: ExperimentPlan) -> None:
    for option, seconds in (
        ("--stagger", plan.stagger_seconds),
        ("--warm-up", plan.warm_up_seconds),
        ("--settle-max", plan.settle_seconds_max),
        ("--hold", plan.hold_seconds),
        ("--ready-timeout", plan.ready.timeout_seconds),
    ):
        _time(option, str(seconds))
    if plan.ready.kind == "after":
        _time("--ready-after", plan.ready.value)


def _time(option: str, text: str) -> None:
    parse_value(SECONDS, option, text)


def _refuse_unreportable(plan: ExperimentPlan) -> None:
    """Refuse early what would make the report fail at the end."""
    require_module("scipy", "experiments need SciPy", "ab")
    known = _known_metrics(plan)
    if plan.primary not in known:
        raise UsageError(
            f"--primary={shortened(plan.primary)} is not a metric of this experiment",
            f"give one of {', '.join(sorted(known))}",
        )


def _known_metrics(plan: ExperimentPlan) -> set[str]:
    return {*HOLD_METRICS, *(metric.name for metric in plan.metrics)}


def _refuse_used_ports(plan: ExperimentPlan, port: int | None) -> None:
    """Refuse ports in use: another server on one would look ready, and ours would fail."""
    wanted = set() if port is None else set(range(port, port + plan.copies))
    number = port_number(plan.ready)
    if number is not None:
        wanted.add(number)
    if not wanted:
        return
    for connection in psutil.net_connections("inet"):
        is_bound = connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
        used = connection.laddr.port if connection.laddr else 0
        if is_bound and used in wanted:
            user = f"PID {connection.pid}" if connection.pid else "another user's process"
            raise KsmrunError(
                f"port {used} is in use by {user}", "give another first port, as in {port:32000}"
            )
