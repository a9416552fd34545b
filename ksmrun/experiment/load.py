"""The load on a fleet, one for each copy or one for all, and where it writes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ksmrun.experiment.placeholders import Instance, expand
from ksmrun.launch.fleet import Copy, Fleet
from ksmrun.model import KsmrunError, UsageError
from ksmrun.model.experiment import ExperimentPlan
from ksmrun.support.words import shortened


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
            f"cannot start the load {error.filename}: {error.strerror}",
            "give its whole path; for shell syntax use sh -c",
        ) from error
    except BaseException:
        fleet.stop()
        raise
    return Load(fleet, tuple(logs))


def refuse_no_command(option: str, text: str) -> None:
    """Raises KsmrunError for what no shell would take as one."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{option}={shortened(text)}: {error}", "close the quote") from error
    if not words:
        raise UsageError(f"{option} is empty", "give a command")


def _encode(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")
