"""Load on a fleet, one process per copy or one for all, and its output files."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ksmrun.experiment.placeholders import Instance, expand
from ksmrun.launch.fleet import Copy, Fleet
from ksmrun.model import KsmrunError
from ksmrun.model.experiment import ExperimentPlan


@dataclass(frozen=True)
class Load:
    """Processes of the load, and the output file of each."""

    fleet: Fleet
    logs: tuple[Path, ...]


def start_load(plan: ExperimentPlan, instances: Sequence[Instance], port: int | None) -> Load:
    """Start the load. Raises KsmrunError if a command is missing."""
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


def refuse_no_command(option: str, text: str) -> None:
    """Raise KsmrunError if a shell could not parse the text as a command."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise KsmrunError(f"{option}: {error} in {text!r}", "close the quote") from error
    if not words:
        raise KsmrunError(f"{option} is empty", "give a command")


def _encode(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")
