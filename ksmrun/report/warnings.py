"""Warnings to readers of a result: about single turns, and about all rounds together. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean, stdev

from ksmrun.report.conditions import HOST_ROWS
from ksmrun.report.results import Saved
from ksmrun.report.values import value_text, word_of
from ksmrun.support.units import MIB

Note = tuple[str, str]
# What decides how much merges, and what that costs.
HOST_KIND = {"kernel": "kernels", "host": "CPUs or memory"}
# Standard deviation of the primary metric between rounds, as a share of the base arm's mean.
NOISE_SHARE_MAX = 0.05
# Difference between the rounds that merge least and most, as a share of the latter.
VARYING_SHARE_MAX = 0.2
ROUNDS_MIN = 3
# Copies that start within one second can have the same seeds (time() in seconds).
STAGGER_SECONDS_MIN = 1.0


def warnings(saved: Saved) -> list[Note]:
    """Return (what, what to do), each kind once."""
    return [*_of_hosts(saved), *_of_turns(saved), *_of_rounds(saved)]


def _of_hosts(saved: Saved) -> Iterator[Note]:
    """Pooled rounds speak for hosts of one kind."""
    if not saved.pooled_from:
        return
    for name, different in HOST_KIND.items():
        found = dict.fromkeys(HOST_ROWS[name](host) for host in saved.hosts)
        if len(found) > 1:
            yield (
                f"rounds of hosts with different {different} are taken together: "
                f"{'; '.join(found)}",
                "report each kind of host by itself, too",
            )


def _of_turns(saved: Saved) -> list[Note]:
    """Return the warnings of the turns.

    Figures differ from turn to turn, but not what to do: the last turn stands for all.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for result in saved.results:
        for what, todo in result["warnings"]:
            found.setdefault((str(result["arm"]), todo), []).append(what)
    return [
        (f"{arm}: {texts[-1]}" + (f" (in {len(texts)} turns)" if len(texts) > 1 else ""), todo)
        for (arm, todo), texts in found.items()
    ]


def _of_rounds(saved: Saved) -> Iterator[Note]:
    plan = saved.plan
    if plan["stagger_seconds"] < STAGGER_SECONDS_MIN and plan["copies"] > 1:
        yield (
            f"copies were started {plan['stagger_seconds']:g} s apart, and those of the same "
            "second can share seeds from the clock, unlike real ones",
            "repeat it with --stagger 1.3",
        )
    primary = str(plan["primary"])
    base = fmean([each.get(primary, 0.0) for each in saved.rounds[saved.arms[0]]])
    for arm in saved.arms:
        values = _values(saved, arm, primary)
        if len(values) >= ROUNDS_MIN and stdev(values) > abs(base) * NOISE_SHARE_MAX:
            yield (
                f"{arm}: {word_of(primary)} is noisy, from {value_text(primary, min(values))} to "
                f"{value_text(primary, max(values))} in {len(values)} rounds",
                "keep the host quiet, hold longer (--hold, --warm-up), or take more rounds",
            )
        merged = _values(saved, arm, "merged_bytes")
        spread = max(merged, default=0.0) - min(merged, default=0.0)
        if spread > max(MIB, max(merged, default=0.0) * VARYING_SHARE_MAX):
            yield (
                f"{arm}: the merged memory differs from round to round, from "
                f"{min(merged) / MIB:.0f} to {max(merged) / MIB:.0f} MiB: start seeds were "
                "equal in some rounds only, or the work differed",
                "let each round do the same work; give the program a fixed seed, or look at an arm "
                "with --layout=shared",
            )


def _values(saved: Saved, arm: str, metric: str) -> list[float]:
    return [each[metric] for each in saved.rounds[arm] if metric in each]
