"""From the options of `ksmrun ab` to a plan that can run: what can be refused is refused here."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import psutil

from ksmrun.experiment.arms import planned
from ksmrun.experiment.placeholders import Instance, expand, first_port
from ksmrun.experiment.ready import checker
from ksmrun.experiment.summary import HOLD_METRICS
from ksmrun.model import KsmrunError
from ksmrun.model.experiment import ExperimentPlan, Metric, Ready


def read_ready(given: dict[str, str | float | None], timeout_seconds: float) -> Ready:
    """The one that was given. Raises KsmrunError for none or several."""
    found = [(kind, str(value)) for kind, value in given.items() if value is not None]
    if len(found) != 1:
        raise KsmrunError(
            f"{len(found)} options tell when a copy is ready",
            "give one of --ready-stdout, -tcp, -udp, -file, -cmd and -after",
        )
    return Ready(*found[0], timeout_seconds)


def read_metrics(texts: list[str], kind: str) -> tuple[Metric, ...]:
    """NAME=VALUE each. Raises KsmrunError."""
    metrics = []
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark or not name.isidentifier() or not value:
            raise KsmrunError(
                f"{text!r} is no NAME=VALUE of a metric",
                r"for example --metric p99='p99: ([0-9.]+)'",
            )
        metrics.append(Metric(name, kind, value))
    return tuple(metrics)


def checked(plan: ExperimentPlan) -> ExperimentPlan:
    """With the launcher's options for each arm. Raises KsmrunError for what could not run."""
    if not plan.command:
        raise KsmrunError("no command given", "see `ksmrun ab --help`")
    if (plan.metrics and plan.metrics[0].kind == "output") and not (plan.load or plan.fleet_load):
        raise KsmrunError("--metric reads a load's output", "give --load or --fleet-load too")
    _refuse_unreportable(plan)
    port = first_port(plan.command)
    last = Instance(plan.copies - 1, plan.arms[0].name, "/tmp")
    words = [expand(word, last, port) for word in plan.command]
    for text in (plan.load, plan.fleet_load):
        expand(text or "", last, port)
    if plan.ready.kind != "stdout":
        expand(plan.ready.value, last, port)
    checker(plan.ready, port)
    _refuse_used_ports(port, plan.copies)
    arms = tuple(planned(each, words) for each in plan.arms)
    return replace(plan, arms=arms)


def _refuse_unreportable(plan: ExperimentPlan) -> None:
    """Found out at the end, it would have been for nothing."""
    if find_spec("scipy") is None:
        raise KsmrunError("the statistics need SciPy", "pip install 'ksmrun[ab]'")
    known = {*HOLD_METRICS, *(metric.name for metric in plan.metrics)}
    if plan.primary not in known:
        raise KsmrunError(
            f"--primary={plan.primary} is no metric", f"there are {', '.join(sorted(known))}"
        )


def _refuse_used_ports(port: int | None, copies: int) -> None:
    if port is None:
        return
    for connection in psutil.net_connections("inet"):
        is_bound = connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
        number = connection.laddr.port if connection.laddr else 0
        if is_bound and port <= number < port + copies:
            raise KsmrunError(
                f"port {number} is in use by PID {connection.pid or 'of another user'}",
                "give another first port, as {port:32000}",
            )
