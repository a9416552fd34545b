"""Saved experiments as data; files of another version, damaged and cut ones are told apart."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ksmrun.model import KsmrunError
from ksmrun.model.experiment import SCHEMA


@dataclass(frozen=True)
class Saved:
    """One experiment. rounds: those that every arm has, by arm: one dict of metrics a round."""

    folder: Path
    host: dict[str, Any]
    plan: dict[str, Any]
    arms: tuple[str, ...]
    rounds: dict[str, tuple[dict[str, float], ...]]
    results: tuple[dict[str, Any], ...]

    @property
    def round_count(self) -> int:
        """Of whole rounds."""
        return len(self.rounds[self.arms[0]])


def load(folder: Path) -> Saved:
    """Raises KsmrunError where there is no whole round."""
    experiment = _read(folder / "experiment.json")
    try:
        plan = experiment["plan"]
        arms = tuple(arm["name"] for arm in plan["arms"])
        files = sorted((folder / "rounds").glob("*.json"))
        results = tuple(_read(file) for file in files)
        by_arm = {
            arm: {each["round"]: each["metrics"] for each in results if each["arm"] == arm}
            for arm in arms
        }
        whole = sorted(set.intersection(*(set(found) for found in by_arm.values())))
        host = experiment["host"]
    except (KeyError, TypeError) as error:
        raise KsmrunError(
            f"{folder} holds files of another version ({error})", "use the ksmrun that wrote them"
        ) from error
    if not whole:
        raise KsmrunError(
            f"{folder} has no whole round yet", f"go on with: ksmrun ab --resume {folder}"
        )
    rounds = {arm: tuple(found[number] for number in whole) for arm, found in by_arm.items()}
    return Saved(folder, host, plan, arms, rounds, results)


def samples_of(saved: Saved, number: int, arm: str) -> list[dict[str, Any]]:
    """Of one turn; a last line that was cut is left out, and so are turns without samples."""
    file = saved.folder / "rounds" / f"{number:03d}-{arm}.samples.jsonl"
    samples = []
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            samples.append(json.loads(line))
    except (OSError, ValueError):
        return samples
    return samples


def _read(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise KsmrunError(
            f"{file}: {error.strerror}", "name the folder that `ksmrun ab --output` was given"
        ) from error
    except (ValueError, RecursionError) as error:
        raise KsmrunError(f"{file} is damaged ({error})", "move it away") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise KsmrunError(f"{file} is of another version", "use the ksmrun that wrote it")
    return data
