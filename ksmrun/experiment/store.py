"""Folder of an experiment: its plan, and each arm's result, saved at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from ksmrun.model.errors import KsmrunError, UsageError
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
    """Create the folder. Raises KsmrunError if it contains something."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(
                f"{folder} is not empty", "give a new folder, or continue one with --resume"
            )
        (folder / "rounds").mkdir()
        _write(folder / PLAN, {"schema": SCHEMA, "host": host, "plan": asdict(plan)})
    except OSError as error:
        raise _cannot(folder, error) from error


def load_plan(folder: Path) -> ExperimentPlan:
    """Return the plan of an experiment to be resumed. Raises KsmrunError."""
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
    """Return the KSM settings at its beginning. Raises KsmrunError."""
    ksm: dict[str, Any] = _read(folder / PLAN)["host"].get("ksm", {})
    return ksm


def is_done(folder: Path, number: int, arm: str) -> bool:
    """Return whether this turn has a result."""
    return result_file(folder, number, arm).exists()


def count_results(folder: Path) -> int:
    """Return the number of turns with a result: one for each arm in each round."""
    return len(list((folder / "rounds").glob("*.json")))


def result_file(folder: Path, number: int, arm: str) -> Path:
    """Return the file of one arm in one round; rounds count from 1."""
    return folder / "rounds" / f"{number:03d}-{arm}.json"


def save_result(folder: Path, result: ArmResult) -> None:
    """Save a result atomically: an incomplete file would be invalid."""
    file = result_file(folder, result.round, result.arm)
    try:
        _write(file, {"schema": SCHEMA, **asdict(result)})
    except OSError as error:
        raise _cannot(file, error) from error


@contextmanager
def sample_stream(folder: Path, number: int, arm: str) -> Iterator[TextIO]:
    """Open the stream of samples: lines of JSON, each written to disk at once."""
    file = result_file(folder, number, arm).with_suffix(".samples.jsonl")
    try:
        # Left by an interrupted turn.
        file.unlink(missing_ok=True)
        stream = file.open("x", encoding="utf-8", buffering=1)
    except OSError as error:
        raise _cannot(file, error) from error
    with stream:
        yield stream


def write_sample(stream: TextIO, sample: FleetSample) -> None:
    """Write one sample as a line."""
    stream.write(json.dumps(asdict(sample)) + "\n")


def _write(file: Path, data: dict[str, Any]) -> None:
    replace_file(file, (json.dumps(data, indent=1) + "\n").encode(), 0o644)


def _read(file: Path) -> dict[str, Any]:
    """Read a file, which must be this user's or root's: what it names is executed."""
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
        write_todo(error, "give another folder with --output"),
    )
