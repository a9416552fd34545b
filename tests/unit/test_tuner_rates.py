"""Rate that each step of the monitor gives ksmd: its cap and its bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.watch.tuner import step
from ksmrun.watch.tuner_rate import REST_SHARE
from ksmrun.watch.tuner_state import RATE_MAX, RATE_MIN, Mark, Mode, State

from .test_tuner_steps import AT_REST, GIB, NOW, boosted, later, scans


@pytest.mark.parametrize(
    ("pressure", "before", "after"),
    [
        # Above 30% of the time; below 10%; between.
        (0.31, 0.6, 0.3),
        (0.3, 0.6, 0.6),
        (0.1, 0.6, 0.6),
        (0.09, 0.6, 0.7),
        (0.09, 0.4, 0.5),
        (0.2, 0.9, 0.7),
        # It always has ten times what it uses when idle.
        (0.31, 0.06, 0.05),
        (None, 0.1, 0.7),
    ],
)
def test_the_cap(pressure: float | None, before: float, after: float) -> None:
    for mode in Mode:
        state = replace(boosted(), cap_share=before, mode=mode)
        seconds = 10.0
        look = later(state.look, seconds, pressure_seconds=seconds * (pressure or 0))
        if pressure is None:
            look = replace(look, pressure_seconds=None)
        assert step(state, look, 0.7)[0].cap_share == pytest.approx(after)


def test_the_cap_where_pressure_was_not_known() -> None:
    state = replace(AT_REST, cap_share=0.1)
    unknown = replace(state, look=replace(NOW, pressure_seconds=None))
    assert step(unknown, later(NOW), 0.7)[0].cap_share == 0.7
    assert step(state, later(NOW, 0.0), 0.7)[0].cap_share == 0.7, "no time went by"
    # A cap below ten times the idle share is kept.
    pressed = later(NOW, pressure_seconds=1)
    assert step(replace(AT_REST, cap_share=0.02), pressed, 0.02)[0].cap_share == 0.02


@given(
    mode=st.sampled_from([Mode.REST, Mode.BOOST]),
    rate=st.integers(200, 100_000),
    cost=st.floats(1e-7, 1e-4),
    cap=st.floats(0.1, 0.9),
    seconds=st.floats(0.5, 30),
)
def test_each_step_leads_to_the_share_that_is_wanted(
    mode: Mode, rate: int, cost: float, cap: float, seconds: float
) -> None:
    """Whatever a page costs; but by no more than a factor, and within the bounds."""
    wanted = REST_SHARE if mode is Mode.REST else 0.9 * cap
    # A cap that has risen already, as it does in steps.
    state = replace(boosted(), mode=mode, cap_share=cap)
    state = replace(state, boost_rate=float(rate), rest_rate=float(rate))
    state = replace(state, settled_bytes=64 * GIB, settled_started=41)
    sleep = 0.1 if mode is Mode.REST else 0.02
    assert state.sleep_millisecs == sleep * 1000
    used = rate * cost / (sleep + rate * cost)
    look = later(state.look, seconds, ksmd_cpu_seconds=used * seconds)
    after, _ = step(state, look, cap)
    new, other = after.boost_rate, after.rest_rate
    if mode is Mode.REST:
        new, other = other, new
    assert other == rate, "that of the other mode stays"
    assert after.rate == round(new)
    most = NOW.known_pages * sleep / (60 if mode is Mode.REST else 1.5)
    if used < 0.99:
        ideal = wanted / (1 - wanted) * sleep / cost
        expected = min(max(ideal, rate / 4), rate * (1.25 if mode is Mode.REST else 4))
        assert new == pytest.approx(min(max(expected, RATE_MIN), most, RATE_MAX), rel=1e-3)


def test_rates_without_use_and_without_time() -> None:
    state = replace(boosted(), boost_rate=1000.0)
    assert step(state, later(state.look), 0.7)[0].boost_rate == 4000, "a factor of 4 at most"
    for seconds in (0.0, -1.0):
        look = later(state.look, seconds, ksmd_cpu_seconds=1)
        assert step(state, look, 0.7)[0].boost_rate == 1000, "no time went by"
    # It may seem to have used all of a core, or more.
    for used in (1.0, 1.5):
        assert step(state, later(state.look, ksmd_cpu_seconds=used), 0.7)[0].boost_rate == 250


def test_a_cap_below_the_rest_holds_at_rest() -> None:
    state = replace(AT_REST, rest_rate=1000.0)
    look = later(NOW, ksmd_cpu_seconds=0.0016)
    assert step(state, look, 0.0016)[0].rest_rate == pytest.approx(1000)
    assert step(state, look, 0.7)[0].rest_rate == pytest.approx(1000 * 1.25, rel=0.01)


@pytest.mark.parametrize(
    ("mode", "pages", "anonymous", "most"),
    [
        # A full scan in 1.5 s, and in a minute; of the pages that ksmd knows or of those that
        # exist.
        (Mode.BOOST, 150_000, 0, 2000),
        (Mode.REST, 1_200_000, 0, 2000),
        (Mode.BOOST, 0, 150_000 * 4096, 2000),
        (Mode.BOOST, 10, 10 * 4096, RATE_MIN),
        (Mode.BOOST, 10**12, 0, RATE_MAX),
    ],
)
def test_no_full_scan_is_faster(mode: Mode, pages: int, anonymous: int, most: int) -> None:
    look = replace(NOW, known_pages=pages, anonymous_bytes=anonymous)
    state = State(look, mode, 1e6, 1e6, settled_bytes=anonymous, settled_started=40)
    mark = Mark(look.seconds, look.full_scans, None, anonymous)
    state = replace(state, begun=mark, asked=mark, grown=mark)
    after, said = step(state, later(look), 0.7)
    assert (after.rate, said) == (most, "")


def test_the_first_rate_of_a_boost_is_bounded_too() -> None:
    look = replace(later(NOW, started=1), known_pages=150_000, anonymous_bytes=0)
    assert step(replace(AT_REST, boost_rate=1e6), look, 0.7)[0].rate == 2000


@pytest.mark.parametrize(
    ("rest_rate", "expected"),
    # 0.2% of a core, where 20,000 pages used 63%: 1 : 849; after five times as long a sleep.
    [(100.0, 117.7), (117.0, 117.7), (500.0, 500.0)],
)
def test_the_first_rate_at_rest(rest_rate: float, expected: float) -> None:
    state, _ = scans(boosted(), 0, 0)
    state = replace(state, boost_rate=20_000.0, rest_rate=rest_rate)
    state, said = scans(state, 0)
    assert said[0].startswith("rest: ")
    assert state.rest_rate == pytest.approx(expected, rel=0.01)
