"""The folder of an experiment: its plan, and each arm's result as soon as it is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from ksmrun.model import KsmrunError, UsageError
from ksmrun.model.experiment import (
    SCHEMA,
    Arm,
    ArmResult,
    ExperimentPlan,
    FleetSample,
    Metric,
    Ready,
)
from ksmrun.model.saved import HOST
from ksmrun.model.saved import PLAN as PLAN_SHAPE
from ksmrun.support.advice import write_todo
from ksmrun.support.safefile import replace_file
from ksmrun.support.state import read_state

PLAN = "experiment.json"


def create(folder: Path, plan: ExperimentPlan, host: dict[str, Any]) -> None:
    """A new folder. Raises KsmrunError where it holds something."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty", "give a new folder, or go on with --resume")
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
    # A field of another version.
    except TypeError as error:
        raise KsmrunError(
            f"{folder / PLAN} was written by another version of ksmrun ({error})",
            "start a new experiment",
        ) from error
    return found


def load_ksm(folder: Path) -> dict[str, Any]:
    """How KSM was set when it began. Raises KsmrunError."""
    ksm: dict[str, Any] = _read(folder / PLAN)["host"].get("ksm", {})
    return ksm


def is_done(folder: Path, number: int, arm: str) -> bool:
    """Whether this turn's result is there."""
    return result_file(folder, number, arm).exists()


def count_results(folder: Path) -> int:
    """How many turns have a result: one for each arm in each round."""
    return len(list((folder / "rounds").glob("*.json")))


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
        # What an interrupted turn has left.
        file.unlink(missing_ok=True)
        stream = file.open("x", encoding="utf-8", buffering=1)
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
    """What it names is started, so it has to be this user's own or root's."""
    todo = "start a new experiment"
    data = read_state(file, SCHEMA, {"plan": PLAN_SHAPE, "host": {"ksm?": HOST["ksm"]}}, todo)
    if data is None:
        raise KsmrunError(
            f"{file}: No such file or directory",
            "give the folder that `ksmrun ab --output` was given",
        )
    plan = data["plan"]
    if not plan["command"] or not plan["arms"] or plan["copies"] < 1 or plan["rounds"] < 1:
        raise KsmrunError(f"{file} is damaged (command, arms or numbers are not valid)", todo)
    return data


def _cannot(file: Path, error: OSError) -> KsmrunError:
    return KsmrunError(
        f"cannot write {error.filename or file}: {error.strerror}",
        write_todo(error.errno or 0, "give another folder with --output"),
    )
