"""From some processes of a program to all of them. Pure.

A page content is a species, a process is a sampling unit, and the question is how many species N
units hold when m were looked at: the extrapolation of Chao and Colwell for incidence data (Colwell
et al. 2012, J. Plant Ecology 5:3-21, equations 17 and 18), its error by the jackknife over the
processes. Contents that each process has for itself grow in proportion, those of groups saturate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ksmrun.model.estimate import Contents


@dataclass(frozen=True)
class Extrapolated:
    """Contents of all processes, and the half width of the 95 % interval."""

    contents: float
    half_width: float


def extrapolate(looked_at: Sequence[Contents], distinct: float, processes: int) -> Extrapolated:
    """distinct: different contents of all that were looked at together; processes: how many there
    are in all, at least as many as were looked at, and those at least 3. Needs SciPy.
    """
    from scipy.stats import t

    count = len(looked_at)
    once = float(sum(each.in_one for each in looked_at))
    twice = sum(each.in_two for each in looked_at) / 2
    estimate = _extended(distinct, once, twice, count, processes)
    without = [
        _extended(
            distinct - each.in_one,
            once - each.in_one + each.in_two,
            twice - each.in_two + each.in_three,
            count - 1,
            processes,
        )
        for each in looked_at
    ]
    mean = fmean(without)
    variance = (count - 1) / count * sum((each - mean) ** 2 for each in without)
    # Of all processes nothing is left to chance.
    variance *= 1 - count / processes
    return Extrapolated(estimate, float(t.ppf(0.975, count - 1)) * variance**0.5)


def _extended(distinct: float, once: float, twice: float, count: int, processes: int) -> float:
    """Expected contents of `processes` processes, from `count` with so many seen once and twice."""
    if once <= 0 or processes <= count:
        return distinct
    unseen = once**2 / (2 * twice) if twice > 0 else once * (once - 1) / 2
    unseen *= (count - 1) / count
    if unseen <= 0:
        return distinct
    return distinct + unseen * (1 - (1 - once / (count * unseen + once)) ** (processes - count))
