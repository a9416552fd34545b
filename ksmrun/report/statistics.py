"""Compare two arms by t intervals of the differences of paired rounds. Pure.

Rounds are pairs, as both arms run in each: what changes on the host from round to round affects
both. There are few rounds, for which bootstrap intervals are far too narrow; Student's are correct
if the differences are roughly normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ksmrun.support.advice import require_module

CONFIDENCE = 0.95
# With fewer rounds the interval is too wide to be useful, and one outlier decides.
ROUNDS_MIN = 6


@dataclass(frozen=True)
class Difference:
    """One metric of one arm compared with the base arm, in the metric's unit.

    low and high: bounds of the CONFIDENCE interval for the mean of (arm - base); None for one
    round. p_value: of "no difference", before and after the correction for several metrics.
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
        """Return whether the rounds suffice and such a difference rarely occurs by chance."""
        return (
            self.rounds >= ROUNDS_MIN
            and self.p_corrected is not None
            and self.p_corrected < 1 - CONFIDENCE
        )

    @property
    def share(self) -> float | None:
        """Difference as a share of the base arm's mean; negative if the arm has less."""
        return self.mean / self.base_mean if self.base_mean else None


def compare(metric: str, base: Sequence[float], arm: Sequence[float]) -> Difference:
    """Compare base[i] and arm[i] of each round i. Raises ValueError if they are no pairs."""
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
        # No spread at all: a counter that did not change, or the same difference in each round.
        return values[0], values[0], 1.0 if values[0] == 0 else 0.0
    # Imported here: it takes longer to import than all of ksmrun.
    require_module("scipy", "confidence intervals need SciPy", "ab")
    from scipy import stats

    result = stats.ttest_1samp(values, 0.0)
    interval = result.confidence_interval(CONFIDENCE)
    return float(interval.low), float(interval.high), float(result.pvalue)


def corrected(primary: Difference, others: Sequence[Difference]) -> tuple[Difference, ...]:
    """Return the primary metric unchanged, and the others corrected by Holm's method.

    The primary metric was named beforehand. Holm, S. (1979), A simple sequentially rejective
    multiple test procedure.
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
