"""The monitor's rate of ksmd, one step at a time: when it begins and ends, its cap, its bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.watch.tuner import RATE_MAX, RATE_MIN, REST_SHARE, Look, Mode, State, growth_bytes, step

MIB, GIB = 1 << 20, 1 << 30
# After a while: no count of the host begins at 0. 64 GiB: no pass is too fast.
NOW = Look(
    seconds=5000.0,
    sleep_seconds=0.02,
    page_bytes=4096,
    full_scans=100,
    merged_pages=0,
    known_pages=16 * GIB // 1024,
    ksmd_cpu_seconds=70.0,
    pressure_seconds=9.0,
    anonymous_bytes=64 * GIB,
    started=40,
)
AT_REST = State(NOW, settled_bytes=64 * GIB, settled_started=40)


def later(before: Look, seconds: float = 1.0, **changes: Any) -> Look:
    """Counts in changes are what is added."""
    added = {name: getattr(before, name) + number for name, number in changes.items()}
    return replace(before, seconds=before.seconds + seconds, **added)


def boosted(**changes: Any) -> State:
    """A boost that has just begun, at what it found."""
    state, said = step(replace(AT_REST, **changes), later(NOW, started=1), 0.7)
    assert said.startswith("boost: ")
    return state


def passes(state: State, *merged: int, cap: float = 0.7) -> tuple[State, list[str]]:
    """One pass in each second, after which so many pages are merged in all."""
    said = []
    for pages in merged:
        look = replace(later(state.look, full_scans=1), merged_pages=pages)
        state, words = step(state, look, cap)
        said.append(words)
        if words:
            break
    return state, said


@pytest.mark.parametrize(
    ("settled", "worth"),
    [(0, 32 * MIB), (1600 * MIB, 32 * MIB), (1700 * MIB, 34 * MIB), (100 * GIB, 2 * GIB)],
)
def test_growth_that_is_worth_a_boost(settled: int, worth: int) -> None:
    assert growth_bytes(settled) == worth
    rest = replace(AT_REST, settled_bytes=settled)
    for more, mode in ((worth, Mode.REST), (worth + 1, Mode.BOOST)):
        look = replace(later(NOW), anonymous_bytes=settled + more)
        state, said = step(rest, look, 0.7)
        assert state.mode is mode
        assert bool(said) == (mode is Mode.BOOST)


def test_what_is_said_of_a_boost() -> None:
    look = later(NOW, started=3, anonymous_bytes=5 * MIB)
    assert step(AT_REST, look, 0.7)[1] == "boost: 3 new to merge, 5 MiB more"
    state, said = passes(boosted(), 0, 25_600, 25_600)
    assert said == ["", "", "rest: settled; 100 MiB merged, 3 passes in 3 s"]
    assert state.mode is Mode.REST
    # What is settled then is where the next growth counts from.
    assert (state.settled_bytes, state.settled_started) == (64 * GIB, 41)


@pytest.mark.parametrize(
    ("merged", "ends_at"),
    [
        # No sooner than the third pass, and when a whole one gained nothing.
        ([0, 0, 0], 3),
        ([0, 9000, 9256], 3),
        ([0, 9000, 9257, 9257], 4),
        ([0, 9256, 9000], 3),
        ([0, 10**6, 10**6 + 10_101], 3),
        ([0, 10**6, 10**6 + 10_102, 10**6 + 10_102], 4),
    ],
)
def test_when_it_is_settled(merged: list[int], ends_at: int) -> None:
    state, said = passes(boosted(), *merged)
    assert len(said) == ends_at and said[-1].startswith("rest: settled; ")
    assert state.mode is Mode.REST


def test_looks_within_a_pass_are_none() -> None:
    state = boosted()
    for _ in range(20):
        state, said = step(state, later(state.look, merged_pages=1000), 0.7)
        assert said == ""
    state, said_later = passes(state, 20_000, 20_000, 20_000)
    assert [words[:13] for words in said_later] == ["", "", "rest: settled"]


def test_a_boost_that_began_within_a_pass() -> None:
    """What merged when it began counts as the pass before the first."""
    begun, _ = step(AT_REST, later(NOW, started=1, merged_pages=50_000), 0.7)
    _, said = passes(replace(begun, grown_at_scan=98), 50_000)
    assert said[-1].startswith("rest: settled")


def test_passes_that_go_by_between_two_looks() -> None:
    """What was gained since it began was gained in one of them."""
    for gained, settled in ((256, True), (20_000, False)):
        state = boosted()
        state, _ = step(state, later(state.look, merged_pages=gained), 0.7)
        state, said = step(state, later(state.look, full_scans=3), 0.7)
        assert said.startswith("rest: settled") == settled
        if not settled:
            assert step(state, later(state.look, full_scans=1), 0.7)[1].startswith("rest: set")


def test_what_merged_before_a_boost_is_not_lost_in_it() -> None:
    _, said = passes(boosted(best_pages=500_000), 0, 0, 0)
    assert said[-1].startswith("rest: settled")


@pytest.mark.parametrize(
    ("merged", "back_mib"),
    [
        # 32 MiB, and a tenth of the most.
        ([0, 20_000, 11_808], None),
        ([0, 20_000, 11_807], 32),
        ([200_000, 180_000], None),
        ([200_000, 179_999], 78),
        # What merged in the first pass after a growth may be gone already.
        ([20_000 - 8193], None),
    ],
)
def test_what_is_written_to(merged: list[int], back_mib: int | None) -> None:
    # Never settled by then.
    begun = replace(
        boosted(), best_pages=20_000 if len(merged) == 1 else 0, merged_at_pass=(10**9,)
    )
    state, said = passes(begun, *merged)
    if back_mib is None:
        assert "written to" not in said[-1]
    else:
        expected = f"rest: what had merged is written to, {back_mib} MiB came back; "
        assert said[-1].startswith(expected) and state.mode is Mode.REST


def test_what_never_settles() -> None:
    state, said = passes(boosted(), *[1000 * (number % 2) for number in range(12)])
    assert said[:11] == [""] * 11
    assert said[11].startswith("rest: 12 passes did not settle it; ")
    assert state.mode is Mode.REST


@pytest.mark.parametrize(
    ("grows", "is_new"),
    [
        # Of 64 GiB 2% are noise.
        ({"anonymous_bytes": 64 * GIB // 50}, False),
        ({"anonymous_bytes": 64 * GIB // 50 + 1}, True),
        ({"anonymous_bytes": -64 * GIB // 50 - 1}, False),
        ({"started": 1}, True),
    ],
)
def test_growth_within_a_boost_begins_it_anew(grows: dict[str, int], is_new: bool) -> None:
    state, _ = passes(boosted(), 0, 0)
    state, said = step(state, later(state.look, **grows), 0.7)
    assert said == ""
    _, rest = passes(state, 0, 0, 0)
    assert len(rest) == (3 if is_new else 1)
    assert rest[-1].startswith("rest: settled")


@pytest.mark.parametrize(
    ("shrinks", "is_kept"),
    [({}, True), ({"anonymous_bytes": -GIB}, True), ({"anonymous_bytes": -2 * GIB}, False)],
)
def test_what_ended_takes_along_what_it_had_merged(shrinks: dict[str, int], is_kept: bool) -> None:
    state, _ = passes(boosted(), 0, 500_000)
    look = replace(later(state.look, **shrinks), merged_pages=100_000)
    state, said = step(state, look, 0.7)
    assert ("written to" in said) == is_kept


def test_memory_that_ends_at_rest_and_comes_again() -> None:
    state, said = step(AT_REST, later(NOW, anonymous_bytes=-GIB), 0.7)
    assert said == "" and state.settled_bytes == 63 * GIB
    state, said = step(state, later(state.look, anonymous_bytes=2 * GIB), 0.7)
    assert said == "boost: 0 new to merge, 2048 MiB more"


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
        # It always has ten times what it takes at rest.
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
    # A cap below ten times the rest is kept.
    pressed = later(NOW, pressure_seconds=1)
    assert step(replace(AT_REST, cap_share=0.02), pressed, 0.02)[0].cap_share == 0.02


@given(
    mode=st.sampled_from(Mode),
    rate=st.integers(200, 100_000),
    cost=st.floats(1e-7, 1e-4),
    cap=st.floats(0.1, 0.9),
    seconds=st.floats(0.5, 30),
)
def test_each_step_leads_to_the_share_that_is_wanted(
    mode: Mode, rate: int, cost: float, cap: float, seconds: float
) -> None:
    """Whatever a page costs; but by no more than a factor of 4, and within the bounds."""
    wanted = REST_SHARE if mode is Mode.REST else 0.9 * cap
    state = replace(boosted(), mode=mode, boost_rate=float(rate), rest_rate=float(rate))
    state = replace(state, settled_bytes=64 * GIB, settled_started=41)
    used = rate * cost / (0.02 + rate * cost)
    look = later(state.look, seconds, ksmd_cpu_seconds=used * seconds)
    after, _ = step(state, look, cap)
    new, other = after.boost_rate, after.rest_rate
    if mode is Mode.REST:
        new, other = other, new
    assert other == rate, "that of the other mode stays"
    assert after.rate == round(new)
    most = NOW.known_pages * 0.02 / (60 if mode is Mode.REST else 1.5)
    if used < 0.99:
        ideal = wanted / (1 - wanted) * 0.02 / cost
        expected = min(max(ideal, rate / 4), rate * 4)
        assert new == pytest.approx(min(max(expected, RATE_MIN), most, RATE_MAX), rel=1e-3)


def test_rates_without_use_and_without_time() -> None:
    state = replace(boosted(), boost_rate=1000.0)
    assert step(state, later(state.look), 0.7)[0].boost_rate == 4000, "a factor of 4 at most"
    for seconds in (0.0, -1.0):
        look = later(state.look, seconds, ksmd_cpu_seconds=1)
        assert step(state, look, 0.7)[0].boost_rate == 1000, "no time went by"
    # It may seem to have taken all of a core, or more.
    for used in (1.0, 1.5):
        assert step(state, later(state.look, ksmd_cpu_seconds=used), 0.7)[0].boost_rate == 250


def test_a_cap_below_the_rest_holds_at_rest() -> None:
    state = replace(AT_REST, rest_rate=1000.0)
    look = later(NOW, ksmd_cpu_seconds=0.002)
    assert step(state, look, 0.002)[0].rest_rate == pytest.approx(1000)
    assert step(state, look, 0.7)[0].rest_rate == pytest.approx(1000 * 2.5, rel=0.01)


@pytest.mark.parametrize(
    ("mode", "pages", "anonymous", "most"),
    [
        # A whole pass in 1.5 s, and in a minute; of what ksmd knows or of what there is.
        (Mode.BOOST, 150_000, 0, 2000),
        (Mode.REST, 6_000_000, 0, 2000),
        (Mode.BOOST, 0, 150_000 * 4096, 2000),
        (Mode.BOOST, 10, 10 * 4096, RATE_MIN),
        (Mode.BOOST, 10**12, 0, RATE_MAX),
    ],
)
def test_no_pass_is_faster(mode: Mode, pages: int, anonymous: int, most: int) -> None:
    look = replace(NOW, known_pages=pages, anonymous_bytes=anonymous)
    state = State(look, mode, 1e6, 1e6, settled_bytes=anonymous, settled_started=40)
    state = replace(state, grown_bytes=anonymous, grown_at_scan=100)
    after, said = step(state, later(look), 0.7)
    assert (after.rate, said) == (most, "")


def test_the_first_rate_of_a_boost_is_bounded_too() -> None:
    look = replace(later(NOW, started=1), known_pages=150_000, anonymous_bytes=0)
    assert step(replace(AT_REST, boost_rate=1e6), look, 0.7)[0].rate == 2000


@pytest.mark.parametrize(
    ("rest_rate", "expected"),
    # 0.5% of a core, where 63% were taken by 10,000 pages: 1 : 339.
    [(20.0, 29.5), (29.0, 29.5), (100.0, 100.0)],
)
def test_the_first_rate_at_rest(rest_rate: float, expected: float) -> None:
    state, _ = passes(boosted(), 0, 0)
    state = replace(state, boost_rate=10_000.0, rest_rate=rest_rate)
    state, said = passes(state, 0)
    assert said[0].startswith("rest: ")
    assert state.rest_rate == pytest.approx(expected, rel=0.01)
