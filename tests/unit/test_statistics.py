"""Confidence intervals keep their promise in simulated experiments."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from volume import volume

from ksmrun.report.statistics import ROUNDS_MIN, Difference, compare, corrected

EXPERIMENTS = volume(2000)
# Four standard deviations of a share of 5 % among this many.
TOLERANCE = 4 * (0.05 * 0.95 / EXPERIMENTS) ** 0.5


def simulated(rounds: int, effect: float, source: random.Random) -> Difference:
    """Simulate rounds that drift, as hosts do, and arms that each add their own noise."""
    host = [source.gauss(1000, 100) for _ in range(rounds)]
    base = [level + source.gauss(0, 10) for level in host]
    arm = [level + effect + source.gauss(0, 10) for level in host]
    return compare("pss", base, arm)


@pytest.mark.parametrize("effect", [0.0, -400.0])
@pytest.mark.parametrize("rounds", [ROUNDS_MIN, 12])
def test_coverage(rounds: int, effect: float) -> None:
    """95 % of the intervals contain the true difference; 5 % of A/A experiments raise an alarm."""
    source = random.Random(rounds)
    found = [simulated(rounds, effect, source) for _ in range(EXPERIMENTS)]
    held = sum(each.low <= effect <= each.high for each in found if each.low and each.high)
    assert abs(held / EXPERIMENTS - 0.95) < TOLERANCE
    if effect == 0:
        alarms = sum(corrected(each, [])[0].is_certain for each in found)
        assert abs(alarms / EXPERIMENTS - 0.05) < TOLERANCE


def test_several_metrics_together() -> None:
    """Without a difference, at most 5 % of the experiments raise an alarm in one of six metrics."""
    source = random.Random(1)
    alarms = 0
    for _ in range(EXPERIMENTS):
        primary, *others = (simulated(ROUNDS_MIN, 0, source) for _ in range(7))
        named = [
            Difference(**{**vars(each), "metric": str(index)}) for index, each in enumerate(others)
        ]
        alarms += any(each.is_certain for each in corrected(primary, named)[1:])
    assert alarms / EXPERIMENTS < 0.05 + TOLERANCE


P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@given(P_VALUES)
def test_holm(p_values: list[float]) -> None:
    def metric(name: str, p_value: float) -> Difference:
        return Difference(name, 6, 1, 1, 0, 0, 0, p_value)

    others = [metric(str(index), p_value) for index, p_value in enumerate(p_values)]
    primary, *found = corrected(metric("primary", 0.03), others)
    assert primary.p_corrected == 0.03
    for each in found:
        assert each.p_value is not None
        assert each.p_corrected is not None
        # Never more certain than alone, never more cautious than Bonferroni.
        assert each.p_value <= each.p_corrected <= min(1.0, len(others) * each.p_value)
    order = sorted(found, key=lambda each: each.p_value or 0)
    assert [each.p_corrected for each in order] == sorted(each.p_corrected or 0 for each in order)


def test_few_rounds_and_no_spread() -> None:
    assert compare("pss", [1.0], [2.0]).low is None
    assert not corrected(compare("pss", [1.0], [2.0]), [])[0].is_certain
    still = compare("swap", [0.0] * 6, [0.0] * 6)
    assert (still.low, still.high, still.p_value, still.share) == (0, 0, 1, None)
    same = compare("maps", [10.0] * 6, [5.0] * 6)
    assert (same.low, same.high, same.p_value, same.share) == (-5, -5, 0, -0.5)
    with pytest.raises(ValueError, match="no pairs"):
        compare("pss", [1.0], [])
