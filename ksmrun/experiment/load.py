"""The load on a fleet, one for each copy or one for all, and the user's own metrics of it."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from ksmrun.experiment.placeholders import Instance, expand
from ksmrun.launch.fleet import Copy, Fleet
from ksmrun.model import KsmrunError
from ksmrun.model.experiment import ExperimentPlan, Metric

METRIC_SECONDS = 30.0


@dataclass(frozen=True)
class Load:
    """Its processes, and where each writes its output."""

    fleet: Fleet
    logs: tuple[Path, ...]


def start_load(plan: ExperimentPlan, instances: Sequence[Instance], port: int | None) -> Load:
    """Raises KsmrunError where a command is not there."""
    commands = []
    if plan.load is not None:
        commands += [(plan.load, instance) for instance in instances]
    if plan.fleet_load is not None:
        commands.append((plan.fleet_load, instances[0]))
    fleet, logs = Fleet(), []
    try:
        for number, (text, instance) in enumerate(commands):
            folder = Path(instance.folder) / f"load-{number}"
            folder.mkdir()
            words = [expand(word, instance, port) for word in shlex.split(text)]
            fleet.start(Copy(tuple(map(_encode, words)), folder))
            logs.append(folder / "log")
    except OSError as error:
        fleet.stop()
        raise KsmrunError(
            f"the load cannot be started: {error.filename}: {error.strerror}",
            "give its whole path; shell syntax needs sh -c",
        ) from error
    except BaseException:
        fleet.stop()
        raise
    return Load(fleet, tuple(logs))


def read_metrics(metrics: Sequence[Metric], logs: Sequence[Path]) -> dict[str, float]:
    """The mean over all loads whose output holds the metric. Raises KsmrunError where none does."""
    return {metric.name: _read(metric, logs) for metric in metrics}


def _read(metric: Metric, logs: Sequence[Path]) -> float:
    if metric.kind == "command":
        texts = [_output(metric)]
        pattern = r"(\S+)"
    else:
        texts = [log.read_bytes().decode("utf-8", "replace") for log in logs]
        pattern = metric.value
    numbers = []
    for text in texts:
        # The last one: loads print sums at their end.
        found = list(re.finditer(pattern, text, re.MULTILINE))
        if found:
            numbers.append(_number(metric, found[-1][1]))
    if not numbers:
        raise KsmrunError(
            f"the metric {metric.name} is nowhere in the load's output: {metric.value}",
            "look at the load's log in the scratch folder, or start it by hand",
        )
    return fmean(numbers)


def _number(metric: Metric, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise KsmrunError(
            f"the metric {metric.name} is no number: {text!r}",
            "let the first group of the regular expression hold just the number",
        ) from error


def _output(metric: Metric) -> str:
    try:
        done = subprocess.run(
            shlex.split(metric.value),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=METRIC_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise KsmrunError(f"--metric-cmd {metric.name}: {error}", "run it by hand") from error
    return done.stdout


def _encode(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")
