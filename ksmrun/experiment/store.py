"""The folder of an experiment: its plan, and each arm's result as soon as it is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from ksmrun.host.ours import replace_file
from ksmrun.model import KsmrunError
from ksmrun.model.experiment import (
    SCHEMA,
    Arm,
    ArmResult,
    ExperimentPlan,
    FleetSample,
    Metric,
    Ready,
)

PLAN = "experiment.json"


def create(folder: Path, plan: ExperimentPlan, host: dict[str, Any]) -> None:
    """A new folder. Raises KsmrunError where it holds something."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise KsmrunError(f"{folder} is not empty", "name a new folder, or go on with --resume")
        (folder / "rounds").mkdir()
        _write(folder / PLAN, {"schema": SCHEMA, "host": host, "plan": asdict(plan)})
    except OSError as error:
        raise _cannot(folder, error) from error


def load_plan(folder: Path) -> ExperimentPlan:
    """To go on with. Raises KsmrunError."""
    data = _read(folder / PLAN)
    try:
        plan = dict(data["plan"])
        plan["command"] = tuple(plan["command"])
        plan["ready"] = Ready(**plan["ready"])
        plan["metrics"] = tuple(Metric(**metric) for metric in plan["metrics"])
        plan["arms"] = tuple(
            Arm(arm["name"], tuple(arm["options"]), tuple(arm["launcher_options"]))
            for arm in plan["arms"]
        )
        found = ExperimentPlan(**plan)
        _refuse_wrong_kinds(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise KsmrunError(
            f"{folder / PLAN} is not a plan of this version ({error})", "start a new experiment"
        ) from error
    return found


def load_ksm(folder: Path) -> dict[str, Any]:
    """How KSM was set when it began. Raises KsmrunError."""
    host = _read(folder / PLAN).get("host")
    ksm = host.get("ksm") if isinstance(host, dict) else None
    return ksm if isinstance(ksm, dict) else {}


def _refuse_wrong_kinds(plan: ExperimentPlan) -> None:
    """Raises TypeError."""
    options = [option for arm in plan.arms for option in (*arm.options, *arm.launcher_options)]
    parts = [text for metric in plan.metrics for text in (metric.name, metric.kind, metric.value)]
    texts = [*plan.command, *(arm.name for arm in plan.arms), *options, *parts]
    texts += [plan.primary, plan.ready.kind, plan.ready.value]
    texts += [text for text in (plan.load, plan.fleet_load) if text is not None]
    for settings in (plan.tunables, plan.hold_tunables):
        texts += [text for pair in settings.items() for text in pair]
    seconds = (plan.stagger_seconds, plan.warm_up_seconds, plan.settle_seconds_max)
    numbers = (*seconds, plan.hold_seconds, plan.ready.timeout_seconds)
    if (
        not all(isinstance(text, str) for text in texts)
        or not all(isinstance(number, int | float) for number in numbers)
        or not all(isinstance(number, int) for number in (plan.copies, plan.rounds))
        or not plan.command
        or not plan.arms
    ):
        raise TypeError("a text, a number, the command or the arms")


def is_done(folder: Path, number: int, arm: str) -> bool:
    """Whether this turn's result is there."""
    return result_file(folder, number, arm).exists()


def result_file(folder: Path, number: int, arm: str) -> Path:
    """Of one arm in one round, which count from 1."""
    return folder / "rounds" / f"{number:03d}-{arm}.json"


def save_result(folder: Path, result: ArmResult) -> None:
    """Atomically: a cut file counts for nothing."""
    file = result_file(folder, result.round, result.arm)
    try:
        _write(file, {"schema": SCHEMA, **asdict(result)})
    except OSError as error:
        raise _cannot(file, error) from error


@contextmanager
def sample_stream(folder: Path, number: int, arm: str) -> Iterator[TextIO]:
    """Lines of JSON, on their way to disk at once."""
    file = result_file(folder, number, arm).with_suffix(".samples.jsonl")
    try:
        stream = file.open("w", encoding="utf-8", buffering=1)
    except OSError as error:
        raise _cannot(file, error) from error
    with stream:
        yield stream


def write_sample(stream: TextIO, sample: FleetSample) -> None:
    """One line."""
    stream.write(json.dumps(asdict(sample)) + "\n")


def _write(file: Path, data: dict[str, Any]) -> None:
    replace_file(file, (json.dumps(data, indent=1) + "\n").encode(), 0o644)


def _read(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise KsmrunError(
            f"{file}: {error.strerror}", "name the folder that `ksmrun ab --output` was given"
        ) from error
    except (ValueError, RecursionError) as error:
        raise KsmrunError(f"{file} is damaged ({error})", "start a new experiment") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise KsmrunError(f"{file} is of another version", "use the ksmrun that wrote it")
    return data


def _cannot(file: Path, error: OSError) -> KsmrunError:
    return KsmrunError(
        f"{error.filename or file}: {error.strerror}", "name a folder that can be written"
    )
