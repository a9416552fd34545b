"""Whether two arms differ: t intervals on the differences of paired rounds. Pure.

Rounds are pairs, as both arms run in each: what changes from round to round on the host is in
both. Few rounds are what there is, and there bootstrap intervals are far too narrow; Student's are
right as soon as the differences are anything like normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ksmrun.model import KsmrunError

CONFIDENCE = 0.95
# Below it an interval is so wide that it says little, and one odd round decides.
ROUNDS_MIN = 6


@dataclass(frozen=True)
class Difference:
    """One metric of one arm against the base arm, in the metric's unit.

    low and high: the interval of CONFIDENCE for the mean of (arm - base); None from one round.
    p_value: of "no difference", before and after the correction for several metrics.
    """

    metric: str
    rounds: int
    base_mean: float
    arm_mean: float
    mean: float
    low: float | None
    high: float | None
    p_value: float | None
    p_corrected: float | None = None

    @property
    def is_certain(self) -> bool:
        """Whether chance alone would rarely show such a difference, in rounds enough to tell."""
        return (
            self.rounds >= ROUNDS_MIN
            and self.p_corrected is not None
            and self.p_corrected < 1 - CONFIDENCE
        )

    @property
    def share(self) -> float | None:
        """Of the base arm's mean; negative where the arm has less."""
        return self.mean / self.base_mean if self.base_mean else None


def compare(metric: str, base: Sequence[float], arm: Sequence[float]) -> Difference:
    """base[i] and arm[i] are of round i. Raises ValueError where they are no pairs."""
    if not base or len(base) != len(arm):
        raise ValueError(f"{metric}: {len(base)} and {len(arm)} rounds are no pairs")
    differences = [after - before for before, after in zip(base, arm, strict=True)]
    low, high, p_value = _interval(differences)
    return Difference(
        metric=metric,
        rounds=len(differences),
        base_mean=math.fsum(base) / len(base),
        arm_mean=math.fsum(arm) / len(arm),
        mean=math.fsum(differences) / len(differences),
        low=low,
        high=high,
        p_value=p_value,
    )


def _interval(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    if len(values) < 2:
        return None, None, None
    if min(values) == max(values):
        # No spread at all: a counter that stood still, or differs by the same in each round.
        return values[0], values[0], 1.0 if values[0] == 0 else 0.0
    # Not at the top: it takes longer to import than all of ksmrun.
    try:
        from scipy import stats
    except ImportError as error:
        raise KsmrunError("intervals need SciPy", "pip install 'ksmrun[ab]'") from error
    result = stats.ttest_1samp(values, 0.0)
    interval = result.confidence_interval(CONFIDENCE)
    return float(interval.low), float(interval.high), float(result.pvalue)


def corrected(primary: Difference, others: Sequence[Difference]) -> tuple[Difference, ...]:
    """The primary metric, which was named beforehand, as it is; the others by Holm's method.

    Holm, S. (1979), A simple sequentially rejective multiple test procedure.
    """
    ordered = sorted(
        (each for each in others if each.p_value is not None), key=lambda each: each.p_value or 0.0
    )
    by_metric: dict[str, float] = {}
    highest = 0.0
    for rank, each in enumerate(ordered):
        highest = max(highest, min(1.0, (len(ordered) - rank) * (each.p_value or 0.0)))
        by_metric[each.metric] = highest
    return (
        replace(primary, p_corrected=primary.p_value),
        *(replace(each, p_corrected=by_metric.get(each.metric)) for each in others),
    )
