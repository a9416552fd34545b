"""Saved experiments as data; files of another version, damaged and cut ones are told apart."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ksmrun.model import KsmrunError
from ksmrun.model.experiment import SCHEMA


@dataclass(frozen=True)
class Saved:
    """One experiment. rounds: those that every arm has, by arm: one dict of metrics a round.

    pooled_from: the experiments that this one is made of, where it is made of several.
    """

    folder: Path
    host: dict[str, Any]
    plan: dict[str, Any]
    arms: tuple[str, ...]
    rounds: dict[str, tuple[dict[str, float], ...]]
    results: tuple[dict[str, Any], ...]
    pooled_from: tuple[Saved, ...] = ()

    @property
    def parts(self) -> tuple[Saved, ...]:
        """The experiments as they were run."""
        return self.pooled_from or (self,)

    @property
    def hosts(self) -> tuple[dict[str, Any], ...]:
        """Of each part."""
        return tuple(part.host for part in self.parts)

    @property
    def round_count(self) -> int:
        """Of whole rounds."""
        return len(self.rounds[self.arms[0]])


def load(folder: Path) -> Saved:
    """Raises KsmrunError where there is no whole round."""
    experiment = _read(folder / "experiment.json")
    try:
        plan, host = experiment["plan"], experiment["host"]
        _refuse_missing(plan, host)
        arms = tuple(arm["name"] for arm in plan["arms"])
        files = sorted((folder / "rounds").glob("*.json"))
        results = tuple(_result(_read(file)) for file in files)
        by_arm = {
            arm: {each["round"]: each["metrics"] for each in results if each["arm"] == arm}
            for arm in arms
        }
        whole = sorted(set.intersection(*(set(found) for found in by_arm.values())))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise KsmrunError(
            f"{folder} holds files of another version (missing or odd: {error})",
            "use the ksmrun that wrote them",
        ) from error
    if not whole:
        raise KsmrunError(
            f"{folder} has no whole round yet", f"go on with: ksmrun ab --resume {folder}"
        )
    rounds = {arm: tuple(found[number] for number in whole) for arm, found in by_arm.items()}
    return Saved(folder, host, plan, arms, rounds, results)


def samples_of(saved: Saved, arm: str) -> list[list[dict[str, Any]]]:
    """Of each whole round of each part; a last line that was cut is left out."""
    found = []
    for part in saved.parts:
        numbers = sorted(each["round"] for each in part.results if each["arm"] == arm)
        for number in numbers:
            file = part.folder / "rounds" / f"{number:03d}-{arm}.samples.jsonl"
            found.append(_lines(file))
    return found


def _lines(file: Path) -> list[dict[str, Any]]:
    samples = []
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            sample = json.loads(line)
            if isinstance(sample, dict):
                samples.append(sample)
    except (OSError, ValueError):
        return samples
    return samples


PLAN_NAMES = (
    *("command", "copies", "rounds", "arms", "ready", "primary", "load", "fleet_load", "metrics"),
    *("tunables", "stagger_seconds", "warm_up_seconds", "settle_seconds_max", "hold_seconds"),
    "drops_caches",
)
HOST_NAMES = (
    *("ksmrun", "kernel", "cpus", "mem_total_bytes", "swap_total_bytes", "thp_enabled"),
    *("max_map_count", "page_bytes", "ksm", "started"),
)


def _refuse_missing(plan: dict[str, Any], host: dict[str, Any]) -> None:
    """Raises KeyError, TypeError."""
    for name in PLAN_NAMES:
        plan[name]
    for name in HOST_NAMES:
        host[name]
    if not plan["arms"]:
        raise KeyError("arms")


def _result(result: dict[str, Any]) -> dict[str, Any]:
    """Raises KeyError, TypeError, ValueError where it is none."""
    result["arm"], int(result["round"])
    for name, value in result["metrics"].items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name} is no number")
    for _what, _todo in result["warnings"]:
        pass
    return result


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
