"""Pauses between full scans while a fleet starts, and how full scans are counted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from volume import volume

from ksmrun.watch.tuner import QUIET_SECONDS, WAIT_SECONDS_MAX, step
from ksmrun.watch.tuner_rate import REST_SHARE
from ksmrun.watch.tuner_state import Look, Mark, Mode, State

from .test_tuner_steps import GIB, MIB, NOW, boosted, later, scans


@pytest.mark.parametrize(
    ("ends", "scanned", "whole"),
    [
        # 1,000 pages a scan: one that was under way counts once its beginning has been made up for.
        (0, 900, 0),
        (1, 100, 0),
        (1, 999, 0),
        (1, 1000, 1),
        (2, 1999, 1),
        (2, 2000, 2),
        (3, 2000, 2),
        (3, 2999, 2),
        # Not counted before Linux 6.7.
        (0, None, 0),
        (1, None, 0),
        (3, None, 2),
    ],
)
def test_whole_scans(ends: int, scanned: int | None, whole: int) -> None:
    mark = Mark(full_scans=7, scanned_pages=None if scanned is None else 50)
    look = replace(
        NOW,
        full_scans=7 + ends,
        known_pages=1000,
        scanned_pages=None if scanned is None else 50 + scanned,
    )
    assert mark.whole_scans(look) == whole


def waiting(**changes: Any) -> State:
    """Return a state that waits, as a program has just started once all had been scanned."""
    state, _ = scans(boosted(**changes), 0, 100_000)
    look = later(state.look, full_scans=1, started=1, anonymous_bytes=2 * GIB)
    state, said = step(state, look, 0.7)
    assert said == "wait: programs are still starting; 391 MiB merged so far"
    assert state.mode is Mode.WAIT
    return state


def test_a_wait_rests() -> None:
    state = replace(waiting(), rest_rate=1000.0)
    # It used twice what it may.
    look = later(state.look, ksmd_cpu_seconds=2 * REST_SHARE)
    state, said = step(state, look, 0.7)
    assert (state.mode, said) == (Mode.WAIT, "")
    assert state.rate == pytest.approx(500, rel=0.01)
    assert state.boost_rate == waiting().boost_rate


def test_a_wait_ends_when_nothing_starts() -> None:
    state = waiting()
    state, said = step(state, later(state.look, QUIET_SECONDS - 0.1), 0.7)
    assert (state.mode, said) == (Mode.WAIT, "")
    state, said = step(state, later(state.look, 0.1), 0.7)
    assert (state.mode, said) == (Mode.BOOST, "boost: 2048 MiB more to merge")
    # Two whole scans from there, one that gains nothing, and one that skips no page.
    state, all_said = scans(state, 100_000, 300_000, 300_000)
    assert (state.mode, state.skips, all_said[-1]) == (Mode.BOOST, False, "")
    state, all_said = scans(state, 300_000)
    assert (state.mode, state.skips) == (Mode.REST, True)
    assert all_said[-1].startswith("rest: settled; 1172 MiB merged")


def test_pages_are_skipped_only_while_a_fleet_goes_on_starting() -> None:
    state = boosted()
    assert not state.skips
    # What had been left over is all that is new: no page may miss an equal one.
    state, _ = scans(state, 0, 100_000)
    assert not state.skips
    state = waiting()
    state, _ = step(state, later(state.look, anonymous_bytes=66 * GIB, started=1), 0.7)
    assert (state.mode, state.skips) == (Mode.BOOST, True)
    # Still more comes, after all of that was scanned twice.
    look = later(state.look, full_scans=1, started=1, anonymous_bytes=GIB)
    assert step(state, look, 0.7)[0].skips


def test_a_scan_that_skipped_pages_does_not_end_a_boost() -> None:
    """What it gained says little: the last scan may gain more, and then there is one more."""
    state = waiting()
    state, _ = step(state, later(state.look, QUIET_SECONDS), 0.7)
    state, all_said = scans(state, 100_000, 100_000, 100_000, 200_000)
    assert (state.mode, all_said[-1]) == (Mode.BOOST, "")
    state, all_said = scans(state, 200_000)
    assert all_said[-1].startswith("rest: settled; 781 MiB merged")


def test_a_wait_ends_when_there_is_much_to_scan() -> None:
    state = waiting()
    # The old 64 GiB and as much again.
    state, said = step(state, later(state.look, anonymous_bytes=62 * GIB, started=1), 0.7)
    assert (state.mode, said) == (Mode.WAIT, "")
    state, said = step(state, later(state.look, anonymous_bytes=GIB, started=1), 0.7)
    assert (state.mode, said) == (Mode.BOOST, f"boost: {65 * GIB // MIB} MiB more to merge")


def test_a_wait_ends_before_memory_does() -> None:
    state = waiting()
    for available, mode in ((13 * GIB, Mode.WAIT), (11 * GIB, Mode.BOOST)):
        look = replace(later(state.look, anonymous_bytes=GIB), available_bytes=available)
        assert step(state, look, 0.7)[0].mode is mode


def test_a_wait_is_not_for_ever() -> None:
    state, seconds = waiting(), 0.0
    while state.mode is Mode.WAIT:
        state, _ = step(state, later(state.look, 2.0, started=1), 0.7)
        seconds += 2.0
    assert seconds == WAIT_SECONDS_MAX


def test_a_wait_ends_with_the_need() -> None:
    state = waiting()
    look = replace(later(state.look), is_wanted=False)
    state, said = step(state, look, 0.7)
    assert state.mode is Mode.REST and said.startswith("rest: there is memory again; ")


def test_much_that_is_new_is_scanned_at_once() -> None:
    state, _ = scans(boosted(), 0, 0)
    look = later(state.look, full_scans=1, started=1, anonymous_bytes=65 * GIB)
    state, said = step(state, look, 0.7)
    assert (state.mode, said) == (Mode.BOOST, "")
    # Those before it are seen often enough; it itself is not.
    look = later(state.look, full_scans=2, started=1)
    state, said = step(state, look, 0.7)
    assert (state.mode, said) == (Mode.BOOST, "")
    state, said = step(state, later(state.look, full_scans=1, anonymous_bytes=3 * GIB), 0.7)
    assert said.startswith("wait: ")


@pytest.mark.parametrize(
    ("more", "waits"),
    # 2% of 64 GiB are noise.
    [(-GIB, False), (0, False), (64 * GIB // 50, False), (64 * GIB // 50 + 1, True)],
)
def test_what_is_only_replaced_is_not_waited_for(more: int, waits: bool) -> None:
    state, _ = scans(boosted(), 0, 100_000)
    look = later(state.look, full_scans=1, started=1, anonymous_bytes=more)
    state, said = step(state, look, 0.7)
    assert said.startswith("wait: ") is waits


EMPTY = replace(NOW, anonymous_bytes=0, known_pages=0, started=0, scanned_pages=0)
# As the kernel has it at boot.
UNSET = State(EMPTY, Mode.BOOST, boost_rate=100.0)


@dataclass
class Program:
    """Equal memory, and how often ksmd has seen it."""

    pages: int
    visits: int = 0


@dataclass
class Fleet:
    """Model of ksmd's list: a new program is put behind the one that is being scanned."""

    cost_seconds: float
    programs: list[Program] = field(default_factory=list)
    place: int = 0
    pages_left: float = 0.0
    look: Look = EMPTY

    def start(self, pages: int) -> None:
        self.programs.insert(self.place, Program(pages))
        self.place += 1
        if len(self.programs) == 1:
            self.place, self.pages_left = 0, pages

    def run(self, state: State, seconds: float) -> Look:
        per_page = state.sleep_millisecs / 1e3 / state.rate + self.cost_seconds
        todo = seconds / per_page if self.programs else 0.0
        scanned, ends = todo, 0
        while todo > 0:
            if self.pages_left > todo:
                self.pages_left -= todo
                break
            todo -= self.pages_left
            self.programs[self.place].visits += 1
            self.place += 1
            if self.place == len(self.programs):
                self.place, ends = 0, ends + 1
            self.pages_left = self.programs[self.place].pages
        self.look = replace(
            later(
                self.look,
                seconds,
                full_scans=ends,
                scanned_pages=int(scanned),
                ksmd_cpu_seconds=scanned * self.cost_seconds,
            ),
            anonymous_bytes=4096 * sum(each.pages for each in self.programs),
            started=len(self.programs),
            merged_pages=sum(each.pages for each in self.programs if each.visits >= 2),
            known_pages=sum(each.pages for each in self.programs if each.visits),
        )
        return self.look


@given(
    count=st.integers(1, 60),
    mib=st.integers(1, 200),
    gap=st.sampled_from([0, 1, 2, 5, 9]),
    cost=st.floats(5e-7, 5e-6),
)
@settings(max_examples=volume(50), deadline=None)
def test_a_fleet_of_any_pace_merges(count: int, mib: int, gap: int, cost: float) -> None:
    """All of it, soon after its last program; and the scans end."""
    fleet = Fleet(cost)
    state = State(fleet.run(UNSET, 1.0))
    for _ in range(count):
        fleet.start(mib * 256)
        for _ in range(gap):
            state, _ = step(state, fleet.run(state, 1.0), 0.7)
    scan_seconds = max(count * mib * 256 * cost / 0.6, 1.5)
    most = QUIET_SECONDS + 8 * scan_seconds + 30
    begun = state.look.seconds
    while state.look.seconds < begun + most:
        state, _ = step(state, fleet.run(state, 1.0), 0.7)
    assert state.look.merged_pages == count * mib * 256
    assert state.mode is Mode.REST


@pytest.mark.parametrize(("gap", "factor"), [(1, 3.5), (3, 5)])
def test_a_fleet_that_is_slow_to_start_costs_little_more(gap: int, factor: float) -> None:
    """What ksmd takes depends on the fleet more than on how long that takes to start."""

    def cost(gap: int) -> float:
        fleet = Fleet(2e-6)
        state = State(fleet.run(UNSET, 1.0))
        begun = state.look.ksmd_cpu_seconds
        for _ in range(200):
            fleet.start(40 * 256)
            for _ in range(gap):
                state, _ = step(state, fleet.run(state, 1.0), 0.7)
        for _ in range(120):
            state, _ = step(state, fleet.run(state, 1.0), 0.7)
        assert state.mode is Mode.REST
        return state.look.ksmd_cpu_seconds - begun

    # At the cap all the time, it would take 9 and 28 times as much.
    assert cost(gap) < factor * cost(0)
