"""Extrapolate from some processes of a program to all of them. Pure.

A page content is a species, a process is a sampling unit, and the question is how many species N
units contain when m were examined: the extrapolation of Chao and Colwell for incidence data
(Colwell et al. 2012, J. Plant Ecology 5:3-21, equations 17 and 18), with the error estimated by the
jackknife over the processes. Contents that only one process has grow in proportion; those that
groups share saturate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ksmrun.model.estimate import Contents


@dataclass(frozen=True)
class Extrapolated:
    """Different contents in all processes, and the half width of the 95 % interval."""

    contents: float
    half_width: float


def extrapolate(looked_at: Sequence[Contents], distinct: float, processes: int) -> Extrapolated:
    """Return the estimate for all processes. Needs SciPy.

    distinct: different contents of all examined processes together; processes: total number, at
    least as many as were examined, which are at least 3.
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
    # If all processes were examined, there is no sampling error.
    variance *= 1 - count / processes
    return Extrapolated(estimate, float(t.ppf(0.975, count - 1)) * variance**0.5)


def _extended(distinct: float, once: float, twice: float, count: int, processes: int) -> float:
    """Return the expected contents of `processes` processes.

    Given `count` examined ones, with this many contents seen once and twice.
    """
    if once <= 0 or processes <= count:
        return distinct
    unseen = once**2 / (2 * twice) if twice > 0 else once * (once - 1) / 2
    unseen *= (count - 1) / count
    if unseen <= 0:
        return distinct
    return distinct + unseen * (1 - (1 - once / (count * unseen + once)) ** (processes - count))
