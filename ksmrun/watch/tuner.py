"""Decide ksmd's scan rate: fast while there is something to gain, else idle. Pure.

In boost mode ksmd uses up to the cap, until three full scans have passed since memory last grew and
the last one gained nothing: a page merges in the second full scan that sees it unchanged (mm/ksm.c:
cmp_and_merge_page()). In idle mode it uses REST_SHARE of a core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from ksmrun.support.units import MIB

# Growth of merging memory that is worth a boost.
GROWTH_BYTES_MIN, GROWTH_SHARE = 32 * MIB, 0.02
STABLE_SCANS = 3
STABLE_SHARE, STABLE_PAGES_MIN = 0.01, 256
# Pages that keep changing never converge.
SCANS_MAX = 12
# Share of a core.
REST_SHARE = 0.005
# Minimum time of a full scan: a page that was just written may not stay as it is.
BOOST_SCAN_SECONDS_MIN, REST_SCAN_SECONDS_MIN = 1.5, 60.0
RATE_MIN, RATE_MAX = 20, 1_000_000
# Bound on the rate's change in one step.
STEP_MAX = 4.0
# The cap holds on average; a single step may exceed it.
CAP_MARGIN = 0.9
# Share of time in which some task waited for a CPU (Documentation/accounting/psi.rst).
PRESSURE_HIGH, PRESSURE_LOW = 0.3, 0.1
# Share of the merged memory lost again: it is being written to.
LOSS_SHARE = 0.1


class Mode(StrEnum):
    """Mode of ksmd."""

    REST = "rest"
    BOOST = "boost"


@dataclass(frozen=True)
class Look:
    """Observation at one moment. seconds: of the monotonic clock.

    ksmd_cpu_seconds and pressure_seconds count since boot. known_pages: pages of a full scan.
    anonymous_bytes: of the merging processes; started: how many of them the monitor has seen start.
    is_wanted: whether merging may take CPU time now.
    """

    seconds: float
    sleep_seconds: float
    page_bytes: int
    full_scans: int
    merged_pages: int
    known_pages: int
    ksmd_cpu_seconds: float
    pressure_seconds: float | None
    anonymous_bytes: int
    started: int
    is_wanted: bool = True


@dataclass(frozen=True)
class State:
    """State carried to the next step. rate: pages_to_scan, the last suitable one of each mode.

    bounded_from: rate of a boost before the size of the memory bounded it; 0 if it does not.
    grown_at_scan: full_scans when the memory last grew. merged_at_scans: merged memory when full
    scan number scan_number began, and one scan earlier.
    """

    look: Look
    mode: Mode = Mode.REST
    boost_rate: float = 1000.0
    rest_rate: float = 100.0
    cap_share: float = 0.7
    settled_bytes: int = 0
    settled_started: int = 0
    boost_seconds: float = 0.0
    boost_scan: int = 0
    grown_at_scan: int = 0
    grown_bytes: int = 0
    scan_number: int = 0
    merged_at_scans: tuple[int, ...] = ()
    best_pages: int = 0
    bounded_from: float = 0.0

    @property
    def rate(self) -> int:
        """Planned value of pages_to_scan."""
        return round(self.boost_rate if self.mode is Mode.BOOST else self.rest_rate)


def step(before: State, look: Look, cap_share_max: float) -> tuple[State, str]:
    """Return the next state and a log message, which is empty if the mode stays."""
    state = replace(before, look=look, cap_share=_cap(before, look, cap_share_max))
    if before.mode is Mode.REST:
        # Ended processes need no scan; they may be started again.
        settled = min(before.settled_bytes, look.anonymous_bytes)
        state = replace(state, settled_bytes=settled)
        grown = look.anonymous_bytes - settled
        if not look.is_wanted:
            return _rated(state, before), ""
        if look.started > before.settled_started or grown > growth_bytes(settled):
            return _begun(_rated(state, before), grown)
        return _rated(state, before), ""
    state = _passed(_grown(state, before))
    reason = _over(state)
    if not reason:
        return _rated(state, before), ""
    return _ended(state, reason)


def growth_bytes(settled_bytes: int) -> int:
    """Return the growth that is worth a boost."""
    return max(GROWTH_BYTES_MIN, int(settled_bytes * GROWTH_SHARE))


def _begun(state: State, grown: int) -> tuple[State, str]:
    look = state.look
    begun = replace(
        state,
        mode=Mode.BOOST,
        boost_seconds=look.seconds,
        boost_scan=look.full_scans,
        grown_at_scan=look.full_scans,
        grown_bytes=look.anonymous_bytes,
        scan_number=look.full_scans,
        merged_at_scans=(look.merged_pages,),
        best_pages=look.merged_pages,
    )
    # A boost for a small program was bounded by its size, which says nothing of this one's.
    begun = _boosted(begun, max(begun.boost_rate, begun.bounded_from))
    new = look.started - state.settled_started
    return begun, f"boost: {new} new to merge, {grown / MIB:.0f} MiB more"


def _grown(state: State, before: State) -> State:
    look = state.look
    more = look.anonymous_bytes - state.grown_bytes
    started = look.started > before.look.started
    if abs(more) <= growth_bytes(state.grown_bytes) and not started:
        return replace(state, best_pages=max(state.best_pages, look.merged_pages))
    return replace(
        state,
        grown_at_scan=look.full_scans if more > 0 or started else state.grown_at_scan,
        grown_bytes=look.anonymous_bytes,
        # Processes that ended took their merged pages with them.
        best_pages=look.merged_pages,
    )


def _passed(state: State) -> State:
    look = state.look
    if look.full_scans == state.scan_number:
        return state
    history = (*state.merged_at_scans, look.merged_pages)[-2:]
    return replace(state, scan_number=look.full_scans, merged_at_scans=history)


def _over(state: State) -> str:
    """Return why the boost is over; empty if it is not."""
    look = state.look
    if not look.is_wanted:
        return "there is memory again"
    if look.full_scans - state.grown_at_scan >= STABLE_SCANS and len(state.merged_at_scans) == 2:
        earlier, later = state.merged_at_scans
        if abs(later - earlier) <= max(STABLE_PAGES_MIN, int(later * STABLE_SHARE)):
            return "settled"
    # Not general_profit itself, which falls by 1/64 of everything that is scanned for the first
    # time.
    best = state.best_pages * look.page_bytes
    lost = best - look.merged_pages * look.page_bytes
    is_whole = look.full_scans - state.grown_at_scan >= 2
    if is_whole and lost > max(GROWTH_BYTES_MIN, best * LOSS_SHARE):
        return f"what had merged is written to, {lost / MIB:.0f} MiB came back"
    if look.full_scans - state.grown_at_scan >= SCANS_MAX:
        return f"not settled after {SCANS_MAX} full scans"
    return ""


def _ended(state: State, reason: str) -> tuple[State, str]:
    look = state.look
    ended = replace(state, mode=Mode.REST)
    if look.is_wanted:
        # Otherwise what is left to merge waits for the next time.
        ended = replace(ended, settled_bytes=look.anonymous_bytes, settled_started=look.started)
    # A first guess: pages cost what they did during the boost.
    guess = state.boost_rate * _odds(REST_SHARE) / _odds(state.cap_share * CAP_MARGIN)
    ended = replace(ended, rest_rate=_bounded(max(state.rest_rate, guess), ended))
    merged = look.merged_pages * look.page_bytes / MIB
    scans = look.full_scans - state.boost_scan
    seconds = look.seconds - state.boost_seconds
    return (
        ended,
        f"rest: {reason}; {merged:.0f} MiB merged, {scans} full scans in {seconds:.0f} s",
    )


def _cap(before: State, look: Look, most: float) -> float:
    """Return the cap: halved while programs wait for a CPU, then raised in steps."""
    earlier = before.look
    passed = look.seconds - earlier.seconds
    if look.pressure_seconds is None or earlier.pressure_seconds is None or passed <= 0:
        return most
    pressure = (look.pressure_seconds - earlier.pressure_seconds) / passed
    if pressure > PRESSURE_HIGH:
        return max(before.cap_share / 2, min(most, 10 * REST_SHARE))
    if pressure < PRESSURE_LOW:
        return min(most, before.cap_share * 1.25)
    return min(most, before.cap_share)


def _rated(state: State, before: State) -> State:
    """Adjust the rate of this mode towards its share of a core.

    A batch of n pages takes n * cost, then ksmd sleeps: the share of a core is n * cost / (sleep +
    n * cost), and share / (1 - share) is proportional to n, whatever a page costs.
    """
    passed = state.look.seconds - before.look.seconds
    if passed <= 0:
        return state
    used = (state.look.ksmd_cpu_seconds - before.look.ksmd_cpu_seconds) / passed
    is_boost = state.mode is Mode.BOOST
    share = state.cap_share * CAP_MARGIN if is_boost else min(REST_SHARE, state.cap_share)
    factor = _odds(share) / max(_odds(used), 1e-6)
    factor = min(max(factor, 1 / STEP_MAX), STEP_MAX)
    if not is_boost:
        return replace(state, rest_rate=_bounded(state.rest_rate * factor, state))
    wanted = state.boost_rate * factor
    if factor > 1:
        # Of so few pages the CPU time, counted in ticks, tells next to nothing.
        wanted = max(wanted, state.bounded_from)
    return _boosted(state, wanted)


def _boosted(state: State, wanted: float) -> State:
    """Set this rate, or what the size of the memory allows, and then keep the one before."""
    rate = _bounded(wanted, state)
    kept = state.bounded_from or state.boost_rate
    return replace(state, boost_rate=rate, bounded_from=kept if rate < wanted else 0.0)


def _odds(share: float) -> float:
    return share / (1 - min(share, 0.99))


def _bounded(rate: float, state: State) -> float:
    look = state.look
    pages = max(look.known_pages, look.anonymous_bytes // look.page_bytes)
    is_boost = state.mode is Mode.BOOST
    full_scan_seconds = BOOST_SCAN_SECONDS_MIN if is_boost else REST_SCAN_SECONDS_MIN
    most = pages * look.sleep_seconds / full_scan_seconds
    return min(max(rate, RATE_MIN), max(most, RATE_MIN), RATE_MAX)
