"""Load saved experiments, recognising files of another version, damaged and truncated ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ksmrun.model.errors import KsmrunError
from ksmrun.model.experiment import SCHEMA
from ksmrun.model.saved import EXPERIMENT, RESULT, SAMPLE
from ksmrun.support.foreign import read_bytes
from ksmrun.support.shape import misfit
from ksmrun.support.state import read_state

SAMPLES_BYTES_MAX = 1 << 30


@dataclass(frozen=True)
class Saved:
    """One experiment. rounds: complete rounds by arm, each a dict of metrics.

    pooled_from: the experiments that it combines, if there are several.
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
        """Experiments as they were run."""
        return self.pooled_from or (self,)

    @property
    def hosts(self) -> tuple[dict[str, Any], ...]:
        """Host of each part."""
        return tuple(part.host for part in self.parts)

    @property
    def whole_rounds(self) -> list[int]:
        """Numbers of the rounds that every arm has."""
        return _whole_rounds(self.arms, self.results)

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics that every arm has in every round."""
        rounds = [each for arm in self.arms for each in self.rounds[arm]]
        return [name for name in rounds[0] if all(name in each for each in rounds)]

    @property
    def round_count(self) -> int:
        """Number of complete rounds."""
        return len(self.rounds[self.arms[0]])


def load(folder: Path) -> Saved:
    """Load an experiment. Raises KsmrunError if there is no complete round."""
    experiment = _read(folder / "experiment.json", EXPERIMENT)
    plan, host = experiment["plan"], experiment["host"]
    arms = tuple(arm["name"] for arm in plan["arms"])
    if not arms:
        raise KsmrunError(f"{folder} is damaged (it has no arms)", "start a new experiment")
    files = sorted((folder / "rounds").glob("*.json"))
    results = tuple(_read(file, RESULT) for file in files)
    whole = _whole_rounds(arms, results)
    if not whole:
        raise KsmrunError(
            f"{folder} has no complete round yet", f"continue with: ksmrun ab --resume {folder}"
        )
    metrics = {(each["arm"], each["round"]): each["metrics"] for each in results}
    rounds = {arm: tuple(metrics[arm, number] for number in whole) for arm in arms}
    return Saved(folder, host, plan, arms, rounds, results)


def _whole_rounds(arms: Sequence[str], results: Sequence[dict[str, Any]]) -> list[int]:
    by_arm = ({each["round"] for each in results if each["arm"] == arm} for arm in arms)
    return sorted(set.intersection(*by_arm))


def samples_of(saved: Saved, arm: str) -> list[list[dict[str, Any]]]:
    """Return the samples of each complete round of each part, without a truncated last line."""
    found = []
    for part in saved.parts:
        for number in part.whole_rounds:
            file = part.folder / "rounds" / f"{number:03d}-{arm}.samples.jsonl"
            found.append(_lines(file))
    return found


def _lines(file: Path) -> list[dict[str, Any]]:
    samples = []
    try:
        for line in read_bytes(file, SAMPLES_BYTES_MAX).split(b"\n"):
            sample = json.loads(line)
            if not misfit(sample, SAMPLE):
                samples.append(sample)
    except (OSError, ValueError, RecursionError):
        return samples
    return samples


def _read(file: Path, shape: dict[str, Any]) -> dict[str, Any]:
    todo = "use the ksmrun that wrote it, or move it away"
    data = read_state(file, SCHEMA, shape, todo, ours=False)
    if data is None:
        raise KsmrunError(
            f"{file}: No such file or directory",
            "give the folder that `ksmrun ab --output` was given",
        )
    return data
