"""Beginning and end of a boost of ksmd, one step at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ksmrun.watch.tuner import growth_bytes, step
from ksmrun.watch.tuner_state import Look, Mode, State

MIB, GIB = 1 << 20, 1 << 30
# After a while: no counter of the host begins at 0. 64 GiB: no full scan is too fast.
NOW = Look(
    seconds=5000.0,
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
    """Return a later look; counters in changes are added."""
    added = {name: getattr(before, name) + number for name, number in changes.items()}
    return replace(before, seconds=before.seconds + seconds, **added)


def boosted(**changes: Any) -> State:
    """Return a boost that has just begun, from what it found."""
    state, said = step(replace(AT_REST, **changes), later(NOW, started=1), 0.7)
    assert said.startswith("boost: ")
    return state


def scans(
    state: State, *merged: int, cap: float = 0.7, seconds: float = 1.0
) -> tuple[State, list[str]]:
    """One full scan in so many seconds, after which this many pages are merged in total."""
    said = []
    for pages in merged:
        look = replace(later(state.look, seconds, full_scans=1), merged_pages=pages)
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
    state, said = scans(boosted(), 0, 25_600, 25_600)
    assert said == ["", "", "rest: settled; 100 MiB merged, 3 full scans in 3 s"]
    assert state.mode is Mode.REST
    # The next growth counts from what has converged then.
    assert (state.settled_bytes, state.settled_started) == (64 * GIB, 41)


@pytest.mark.parametrize(
    ("merged", "ends_at"),
    [
        # Not before the third full scan, and only when a complete one gained nothing.
        ([0, 0, 0], 3),
        ([0, 9000, 9256], 3),
        ([0, 9000, 9257, 9257], 4),
        ([0, 9256, 9000], 3),
        ([0, 10**6, 10**6 + 10_101], 3),
        ([0, 10**6, 10**6 + 10_102, 10**6 + 10_102], 4),
    ],
)
def test_when_it_is_settled(merged: list[int], ends_at: int) -> None:
    state, said = scans(boosted(), *merged)
    assert len(said) == ends_at and said[-1].startswith("rest: settled; ")
    assert state.mode is Mode.REST


def test_looks_within_a_full_scan_are_none() -> None:
    state = boosted()
    for _ in range(20):
        state, said = step(state, later(state.look, merged_pages=1000), 0.7)
        assert said == ""
    state, said_later = scans(state, 20_000, 20_000, 20_000)
    assert [words[:13] for words in said_later] == ["", "", "rest: settled"]


def test_a_boost_that_began_within_a_full_scan() -> None:
    """Pages merged when it began count as the scan before the first."""
    begun, _ = step(AT_REST, later(NOW, started=1, merged_pages=50_000), 0.7)
    _, said = scans(replace(begun, grown=replace(begun.grown, full_scans=98)), 50_000)
    assert said[-1].startswith("rest: settled")


def test_passes_that_go_by_between_two_looks() -> None:
    """Everything gained since it began was gained in one of them."""
    for gained, settled in ((256, True), (20_000, False)):
        state = boosted()
        state, _ = step(state, later(state.look, merged_pages=gained), 0.7)
        state, said = step(state, later(state.look, full_scans=3), 0.7)
        assert said.startswith("rest: settled") == settled
        if not settled:
            assert step(state, later(state.look, full_scans=1), 0.7)[1].startswith("rest: set")


def test_what_merged_before_a_boost_is_not_lost_in_it() -> None:
    _, said = scans(boosted(best_pages=500_000), 0, 0, 0)
    assert said[-1].startswith("rest: settled")


@pytest.mark.parametrize(
    ("merged", "back_mib"),
    [
        # 32 MiB, and a tenth of the maximum.
        ([0, 20_000, 11_808], None),
        ([0, 20_000, 11_807], 32),
        ([200_000, 180_000], None),
        ([200_000, 179_999], 78),
        # What merged in the first full scan after a growth may be gone already.
        ([20_000 - 8193], None),
    ],
)
def test_what_is_written_to(merged: list[int], back_mib: int | None) -> None:
    # Not converged by then.
    begun = replace(
        boosted(), best_pages=20_000 if len(merged) == 1 else 0, merged_at_scans=(10**9,)
    )
    state, said = scans(begun, *merged)
    if back_mib is None:
        assert "written to" not in said[-1]
    else:
        expected = f"rest: what had merged is written to, {back_mib} MiB came back; "
        assert said[-1].startswith(expected) and state.mode is Mode.REST


def test_what_never_settles() -> None:
    state, said = scans(boosted(), *[1000 * (number % 2) for number in range(12)])
    assert said[:11] == [""] * 11
    assert said[11].startswith("rest: not settled after 12 full scans; ")
    assert state.mode is Mode.REST


@pytest.mark.parametrize(
    ("grows", "is_new"),
    [
        # 2% of 64 GiB are noise.
        ({"anonymous_bytes": 64 * GIB // 50}, False),
        ({"anonymous_bytes": 64 * GIB // 50 + 1}, True),
        ({"anonymous_bytes": -64 * GIB // 50 - 1}, False),
        ({"started": 1}, True),
    ],
)
def test_growth_within_a_boost_begins_it_anew(grows: dict[str, int], is_new: bool) -> None:
    state, _ = scans(boosted(), 0, 0)
    state, said = step(state, later(state.look, **grows), 0.7)
    assert said == ""
    # Nothing else grows meanwhile.
    _, rest = scans(state, 0, 0, 0, seconds=5)
    assert len(rest) == (3 if is_new else 1)
    assert rest[-1].startswith("rest: settled")


@pytest.mark.parametrize(
    ("shrinks", "is_kept"),
    [({}, True), ({"anonymous_bytes": -GIB}, True), ({"anonymous_bytes": -2 * GIB}, False)],
)
def test_what_ended_takes_along_what_it_had_merged(shrinks: dict[str, int], is_kept: bool) -> None:
    state, _ = scans(boosted(), 0, 500_000)
    look = replace(later(state.look, **shrinks), merged_pages=100_000)
    state, said = step(state, look, 0.7)
    assert ("written to" in said) == is_kept


def test_memory_that_ends_at_rest_and_comes_again() -> None:
    state, said = step(AT_REST, later(NOW, anonymous_bytes=-GIB), 0.7)
    assert said == "" and state.settled_bytes == 63 * GIB
    state, said = step(state, later(state.look, anonymous_bytes=2 * GIB), 0.7)
    assert said == "boost: 0 new to merge, 2048 MiB more"
