"""Combine several experiments: of other days, or other hosts with the same fleet. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ksmrun.report.results import Saved

# Settings that must be equal for rounds to be comparable.
SAME = (
    *("command", "copies", "arms", "load", "fleet_load", "metrics", "primary", "tunables"),
    *("hold_tunables", "stagger_seconds", "warm_up_seconds", "hold_seconds"),
)


def differing(experiments: Sequence[Saved]) -> tuple[str, ...]:
    """Return the settings in which they differ, which prevents combining them."""
    first, *others = experiments
    return tuple(
        name
        for name in SAME
        if any(_setting(each, name) != _setting(first, name) for each in others)
    )


def repeated(experiments: Sequence[Saved]) -> tuple[Path, Path] | None:
    """Return two folders with the same turn: one given twice, or with its copy.

    Their rounds would count twice, and the interval would be narrower than it is.
    """
    seen: dict[str, Path] = {}
    for saved in experiments:
        turns = {json.dumps(result, sort_keys=True) for result in saved.results}
        if known := turns & seen.keys():
            return seen[known.pop()], saved.folder
        seen |= dict.fromkeys(turns, saved.folder)
    return None


def pooled(experiments: Sequence[Saved]) -> Saved:
    """Return all rounds of all experiments. Each round stays a pair.

    differing() and repeated() must have found nothing.
    """
    first = experiments[0]
    rounds = {
        arm: tuple(each for saved in experiments for each in saved.rounds[arm])
        for arm in first.arms
    }
    results = tuple(result for saved in experiments for result in saved.results)
    parts = tuple(experiments) if len(experiments) > 1 else ()
    return replace(first, rounds=rounds, results=results, pooled_from=parts)


def _setting(saved: Saved, name: str) -> object:
    """Return a setting. Launcher options depend on the kernel, so they may differ between hosts."""
    value = saved.plan.get(name)
    if name == "arms" and isinstance(value, list):
        return [(arm["name"], arm["options"]) for arm in value]
    return value
