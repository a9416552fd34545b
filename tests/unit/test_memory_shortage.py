"""When memory is short, and what that means for the tuner."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.watch.shortage import (
    AVAILABLE_MARGIN,
    CALM_SECONDS,
    WAITING_HIGH,
    WAITING_LOW,
    MemoryLook,
    Shortage,
    judged,
)
from ksmrun.watch.tuner import step
from ksmrun.watch.tuner_state import Mode, State

from .test_tuner_steps import AT_REST, GIB, NOW, boosted, later

BELOW = 0.2
PLENTY = MemoryLook(1000.0, 100 * GIB, 60 * GIB, 5.0)
# Seconds passed, GiB available of 100, share of that time in which programs waited.
STEPS = st.lists(
    st.tuples(st.floats(0.5, 120), st.integers(0, 100), st.floats(0, 1) | st.none()), max_size=40
)


def after(look: MemoryLook, seconds: float, gib: float, waiting: float | None) -> MemoryLook:
    waited = None if waiting is None else (look.waited_seconds or 0.0) + seconds * waiting
    return MemoryLook(look.seconds + seconds, look.total_bytes, int(gib * GIB), waited)


@given(STEPS)
def test_it_ends_only_after_a_calm_time(steps: list[tuple[float, int, float | None]]) -> None:
    state, look, calm = judged(None, PLENTY, BELOW)[0], PLENTY, 0.0
    for seconds, gib, waiting in steps:
        look = after(look, seconds, gib, waiting)
        before, (state, said) = state, judged(state, look, BELOW)
        assert bool(said) == (state.is_short is not before.is_short)
        if gib < BELOW * 100:
            assert state.is_short
        enough = gib >= (BELOW + AVAILABLE_MARGIN) * 100
        calm = calm + seconds if enough else 0.0
        if before.is_short and not state.is_short:
            assert calm >= CALM_SECONDS
        if not before.is_short and state.is_short:
            assert gib < BELOW * 100 or "programs wait" in said


def shortage(gib: float = 10, waiting: float | None = 0.0) -> tuple[Shortage, str]:
    return judged(judged(None, PLENTY, BELOW)[0], after(PLENTY, 10, gib, waiting), BELOW)


@pytest.mark.parametrize(
    ("gib", "waiting", "said"),
    [
        (20, 0.0, ""),
        (19, 0.0, "memory is short: 19.0 of 100.0 GiB are available, less than 20%"),
        (60, WAITING_HIGH, "memory is short: programs wait for it for 10% of the time"),
        (60, WAITING_HIGH - 0.01, ""),
        (60, None, ""),
    ],
)
def test_it_begins(gib: float, waiting: float | None, said: str) -> None:
    state, found = shortage(gib, waiting)
    assert (found, state.is_short) == (said, bool(said))


def test_it_ends() -> None:
    state, _ = shortage()
    look = after(state.look, 10, 26, WAITING_LOW / 2)
    state, said = judged(state, look, BELOW)
    assert state.is_short and not said
    look = after(look, CALM_SECONDS - 1, 26, 0.0)
    assert judged(state, look, BELOW)[0].is_short
    assert judged(state, after(look, 1, 24, 0.0), BELOW)[0].calm_seconds is None
    state, said = judged(state, after(look, 1, 26, 0.0), BELOW)
    assert said == "memory is no longer short: 26.0 of 100.0 GiB are available"


def test_unknown_memory_is_not_short() -> None:
    unknown = MemoryLook(1.0, None, None, None)
    assert not judged(None, unknown, BELOW)[0].is_short


@given(
    st.lists(st.tuples(st.floats(1, 20), st.integers(0, 64 * GIB), st.integers(0, 3)), max_size=20)
)
def test_without_need_nothing_is_boosted(steps: list[tuple[float, int, int]]) -> None:
    state: State = replace(AT_REST, look=replace(NOW, is_wanted=False))
    for seconds, grown, started in steps:
        look = later(state.look, seconds, anonymous_bytes=grown, started=started)
        state, said = step(state, look, 0.7)
        assert state.mode is Mode.REST and not said
    # What came meanwhile is merged once memory gets short.
    came = any(grown > 4 * GIB or started for _, grown, started in steps)
    state, said = step(state, replace(later(state.look), is_wanted=True), 0.7)
    assert state.mode is Mode.BOOST or not came


def test_a_boost_ends_with_the_need_and_goes_on_with_it() -> None:
    state = boosted()
    state, said = step(state, replace(later(state.look), is_wanted=False), 0.7)
    assert state.mode is Mode.REST and said.startswith("rest: there is memory again; ")
    state, said = step(state, later(state.look, seconds=60), 0.7)
    assert state.mode is Mode.REST
    state, said = step(state, replace(later(state.look), is_wanted=True), 0.7)
    assert state.mode is Mode.BOOST and said.startswith("boost: ")
