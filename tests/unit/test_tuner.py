"""Rate of ksmd as the monitor sets it, on a model of ksmd."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from volume import volume

from ksmrun.watch.tuner import step
from ksmrun.watch.tuner_rate import REST_SHARE
from ksmrun.watch.tuner_state import RATE_MAX, RATE_MIN, Look, Mode, State

GIB = 1 << 30
START = Look(
    seconds=0.0,
    page_bytes=4096,
    full_scans=0,
    merged_pages=0,
    known_pages=0,
    ksmd_cpu_seconds=0.0,
    pressure_seconds=0.0,
    anonymous_bytes=0,
    started=0,
)
# As the kernel has it at boot.
UNSET = State(START, Mode.BOOST, boost_rate=100.0)


@dataclass
class Ksmd:
    """Model that scans all pages at this cost; equal pages merge in the second full scan."""

    cost_seconds: float
    mergeable_share: float = 0.9
    look: Look = START
    scanned: float = 0.0
    scans_left: int = 2

    def run(self, state: State, seconds: float, pressure_share: float = 0.0) -> Look:
        look = self.look
        pages = look.anonymous_bytes // look.page_bytes
        busy = state.rate * self.cost_seconds
        batches = seconds / (state.sleep_millisecs / 1e3 + busy)
        self.scanned += batches * state.rate
        scans = 0
        while pages and self.scanned >= pages:
            self.scanned -= pages
            scans += 1
        self.scans_left = max(0, self.scans_left - scans)
        merged = int(pages * self.mergeable_share) if not self.scans_left else look.merged_pages
        self.look = replace(
            look,
            seconds=look.seconds + seconds,
            full_scans=look.full_scans + scans,
            merged_pages=merged,
            known_pages=pages,
            ksmd_cpu_seconds=look.ksmd_cpu_seconds + batches * busy,
            pressure_seconds=(look.pressure_seconds or 0.0) + pressure_share * seconds,
        )
        return self.look

    def grow(self, size_bytes: int) -> None:
        self.look = replace(
            self.look,
            anonymous_bytes=self.look.anonymous_bytes + size_bytes,
            started=self.look.started + 1,
        )
        self.scans_left = 2


def run(ksmd: Ksmd, state: State, seconds: int, cap: float = 0.7) -> tuple[State, list[str]]:
    said = []
    for _ in range(seconds):
        state, words = step(state, ksmd.run(state, 1.0), cap)
        said += [words] if words else []
    return state, said


@pytest.mark.slow
@given(
    cost=st.floats(2e-7, 1e-5),
    size=st.integers(GIB // 4, 16 * GIB),
    cap=st.floats(0.05, 0.95),
)
@settings(max_examples=volume(200))
def test_boost_settle_rest(cost: float, size: int, cap: float) -> None:
    """Whatever a page costs: up to the cap while there is work, then hardly any."""
    ksmd = Ksmd(cost)
    state = State(ksmd.look, cap_share=cap)
    ksmd.grow(size)
    scan_seconds = size / 4096 * cost
    state, said = run(ksmd, state, int(8 * scan_seconds / cap) + 60, cap)
    assert said[0].startswith("boost: 1 new to merge")
    assert said[1].startswith("rest: settled")
    assert len(said) == 2
    assert ksmd.look.merged_pages == int(size // 4096 * 0.9)
    run(ksmd, state, 600, cap)
    state, _ = run(ksmd, state, 120, cap)
    before = ksmd.look
    run(ksmd, state, 100, cap)
    at_rest = (ksmd.look.ksmd_cpu_seconds - before.ksmd_cpu_seconds) / 100
    # The lowest possible rate may use more if a page costs much.
    least = RATE_MIN * cost / 0.02
    assert at_rest <= max(2 * REST_SHARE, least * 1.01)


@given(cost=st.floats(2e-7, 1e-5), cap=st.floats(0.05, 0.95))
@settings(max_examples=volume(200))
def test_never_above_the_cap(cost: float, cap: float) -> None:
    """Except in the second in which a new rate is tried."""
    ksmd = Ksmd(cost)
    state = State(ksmd.look, cap_share=cap)
    ksmd.grow(4096 * GIB)
    shares = []
    for _ in range(60):
        before = ksmd.look.ksmd_cpu_seconds
        state, _ = step(state, ksmd.run(state, 1.0), cap)
        shares.append(ksmd.look.ksmd_cpu_seconds - before)
        assert RATE_MIN <= state.rate <= RATE_MAX
    assert state.mode is Mode.BOOST
    assert max(shares[10:]) <= cap
    assert min(shares[10:]) >= 0.8 * cap


def boosting() -> tuple[Ksmd, State]:
    ksmd = Ksmd(1e-6)
    ksmd.grow(256 * GIB)
    state, _ = run(ksmd, State(ksmd.run(UNSET, 1.0)), 30)
    return ksmd, state


def test_programs_that_wait_for_a_cpu() -> None:
    ksmd, state = boosting()
    for _ in range(10):
        state, _ = step(state, ksmd.run(state, 1.0, pressure_share=0.6), 0.7)
    before = ksmd.look.ksmd_cpu_seconds
    ksmd.run(state, 1.0)
    assert ksmd.look.ksmd_cpu_seconds - before < 0.06
    for _ in range(30):
        state, _ = step(state, ksmd.run(state, 1.0), 0.7)
    before = ksmd.look.ksmd_cpu_seconds
    ksmd.run(state, 1.0)
    assert ksmd.look.ksmd_cpu_seconds - before > 0.5


def test_growth_begins_anew() -> None:
    ksmd = Ksmd(1e-6)
    ksmd.grow(GIB)
    state, said = run(ksmd, State(START), 60)
    assert said[-1].startswith("rest: settled")
    # Noise is no growth.
    ksmd.look = replace(ksmd.look, anonymous_bytes=ksmd.look.anonymous_bytes + (8 << 20))
    state, said = run(ksmd, state, 60)
    assert said == []
    ksmd.look = replace(ksmd.look, anonymous_bytes=ksmd.look.anonymous_bytes + (64 << 20))
    state, said = run(ksmd, state, 60)
    assert "0 new to merge, 72 MiB more" in said[0]
    # Neither is the end of a process, nor its replacement.
    ksmd.look = replace(ksmd.look, anonymous_bytes=ksmd.look.anonymous_bytes - (512 << 20))
    state, said = run(ksmd, state, 60)
    assert said == []
    ksmd.look = replace(ksmd.look, anonymous_bytes=ksmd.look.anonymous_bytes + (512 << 20))
    _, said = run(ksmd, state, 60)
    assert "512 MiB more" in said[0]


@pytest.mark.parametrize("restarted", [False, True])
def test_what_comes_back(restarted: bool) -> None:
    """Written to, so that more work would be repeated; or removed with a process that ended."""
    ksmd = Ksmd(1e-6)
    ksmd.grow(4 * GIB)
    state = State(START)
    while not ksmd.look.merged_pages:
        state, _ = step(state, ksmd.run(state, 1.0), 0.7)
    assert state.mode is Mode.BOOST
    state, _ = step(state, ksmd.run(state, 1.0), 0.7)
    lost = replace(
        ksmd.look,
        seconds=ksmd.look.seconds + 1,
        merged_pages=ksmd.look.merged_pages // 2,
        started=ksmd.look.started + restarted,
    )
    state, said = step(state, lost, 0.7)
    assert ("written to" in said) is not restarted
    assert (state.mode is Mode.BOOST) is restarted


def test_what_never_settles() -> None:
    ksmd = Ksmd(1e-6)
    ksmd.grow(GIB)
    state = State(START)
    said = ""
    for _ in range(200):
        look = ksmd.run(state, 1.0)
        # More in every second full scan.
        look = replace(look, merged_pages=50_000 + 4_000 * (look.full_scans % 2))
        state, said = step(state, look, 0.7)
        if state.mode is Mode.REST:
            break
    assert "not settled after" in said


def test_a_small_program_that_starts_is_worth_a_boost() -> None:
    """Otherwise its pages would wait for a full scan at the idle rate."""
    ksmd = Ksmd(1e-6)
    ksmd.grow(4 * GIB)
    state, _ = run(ksmd, State(START), 120)
    assert state.mode is Mode.REST
    ksmd.grow(1 << 20)
    _, said = run(ksmd, state, 5)
    assert said[0].startswith("boost: 1 new to merge, 1 MiB more")


@pytest.mark.slow
@given(
    cost=st.floats(2e-7, 5e-6),
    small=st.lists(st.integers(1 << 16, 64 << 20), max_size=3),
    during=st.booleans(),
)
@settings(max_examples=50)
def test_a_big_program_after_small_ones(cost: float, small: list[int], during: bool) -> None:
    """It is scanned as fast as if it were the first, also if it starts during a boost."""

    def seconds_to_the_cap(sizes: list[int]) -> int:
        ksmd = Ksmd(cost)
        state = State(ksmd.look)
        for number, size in enumerate(sizes):
            ksmd.grow(size)
            state, _ = run(ksmd, state, 2 if during and number == len(sizes) - 1 else 60)
        ksmd.grow(64 * GIB)
        for seconds in range(1, 60):
            before = ksmd.look.ksmd_cpu_seconds
            state, _ = step(state, ksmd.run(state, 1.0), 0.7)
            if ksmd.look.ksmd_cpu_seconds - before > 0.5:
                return seconds
        return 60

    assert seconds_to_the_cap(small) <= seconds_to_the_cap([]) + 1
