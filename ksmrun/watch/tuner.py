"""Decide ksmd's scan rate: fast while there is something to gain, else idle. Pure.

In boost mode ksmd uses up to the cap, until two full scans have passed since memory last grew and
the last one gained nothing: a page merges in the second full scan that sees it unchanged (mm/ksm.c:
cmp_and_merge_page()). In idle mode it uses REST_SHARE of a core (watch/tuner_rate.py).

Each full scan also covers what has merged. While a fleet starts, ksmd idles in between until
so much is new that a scan pays, and smart_scan skips old pages that have not merged, which take the
most time. It skips none in the last full scan of a boost, nor in a boost for what does not go on
starting: a page that is skipped does not meet an equal one.
"""

from __future__ import annotations

from dataclasses import replace

from ksmrun.support.units import MIB
from ksmrun.watch.tuner_rate import boosted, cap, rated, rest_rate
from ksmrun.watch.tuner_state import Look, Mark, Mode, State

# Growth of merging memory that is worth a boost.
GROWTH_BYTES_MIN, GROWTH_SHARE = 32 * MIB, 0.02
# In the second of them all that stayed as it was has merged.
WHOLE_SCANS = 2
STABLE_SHARE, STABLE_PAGES_MIN = 0.01, 256
# Pages that keep changing never converge.
SCANS_MAX = 12
# While programs start, full scans wait until this share of the memory is new, or of what is
# available; until nothing has grown for a while; and not for longer than this.
WAIT_SHARE, WAIT_AVAILABLE_SHARE = 0.5, 0.25
QUIET_SECONDS, WAIT_SECONDS_MAX = 3.0, 60.0
# Share of the merged memory lost again: it is being written to.
LOSS_SHARE = 0.1
NOT_WANTED = "there is memory again"


def step(before: State, look: Look, cap_share_max: float) -> tuple[State, str]:
    """Return the next state and a log message, which is empty if the mode stays."""
    state = replace(before, look=look, cap_share=cap(before, look, cap_share_max))
    if before.mode is Mode.REST:
        # Ended processes need no scan; they may be started again.
        settled = min(before.settled_bytes, look.anonymous_bytes)
        state = replace(state, settled_bytes=settled)
        grown = look.anonymous_bytes - settled
        if not look.is_wanted:
            return rated(state, before), ""
        if look.started > before.settled_started or grown > growth_bytes(settled):
            return _begun(rated(state, before), grown)
        return rated(state, before), ""
    state = _grown(state, before)
    if before.mode is Mode.WAIT:
        return _waited(rated(state, before))
    state = _unskipped(_scanned(state))
    reason = _over(state)
    if reason:
        return _ended(state, reason)
    return _spared(rated(state, before))


def growth_bytes(settled_bytes: int) -> int:
    """Return the growth that is worth a boost."""
    return max(GROWTH_BYTES_MIN, int(settled_bytes * GROWTH_SHARE))


def _mark(look: Look) -> Mark:
    return Mark(look.seconds, look.full_scans, look.scanned_pages, look.anonymous_bytes)


def _boosts(state: State) -> State:
    """Let ksmd scan all that is there now, twice."""
    mark = _mark(state.look)
    merged = state.look.merged_pages
    boost = replace(state, mode=Mode.BOOST, asked=mark, grown=mark, best_pages=merged)
    # A boost for a small program was bounded by its size, which says nothing of this one's.
    boost = boosted(boost, max(boost.boost_rate, boost.bounded_from))
    return replace(boost, scan_number=0, merged_at_scans=(merged,))


def _begun(state: State, grown: int) -> tuple[State, str]:
    look = state.look
    new = look.started - state.settled_started
    begun = replace(_boosts(state), begun=_mark(look), skips=False)
    return begun, f"boost: {new} new to merge, {grown / MIB:.0f} MiB more"


def _grown(state: State, before: State) -> State:
    look = state.look
    more = look.anonymous_bytes - state.grown.anonymous_bytes
    started = look.started > before.look.started
    if abs(more) <= growth_bytes(state.grown.anonymous_bytes) and not started:
        return replace(state, best_pages=max(state.best_pages, look.merged_pages))
    # Processes that ended took their merged pages with them.
    state = replace(state, best_pages=look.merged_pages)
    if more <= 0 and not started:
        return replace(state, grown=replace(state.grown, anonymous_bytes=look.anonymous_bytes))
    state = replace(state, grown=_mark(look), scan_number=0, merged_at_scans=(look.merged_pages,))
    # It goes on starting after the first two full scans.
    return replace(state, skips=state.asked != state.begun)


def _scanned(state: State) -> State:
    number = state.grown.whole_scans(state.look)
    if number == state.scan_number:
        return state
    history = (*state.merged_at_scans, state.look.merged_pages)[-2:]
    return replace(state, scan_number=number, merged_at_scans=history)


def _unskipped(state: State) -> State:
    """Let one more full scan skip nothing, once all that was new has been scanned twice."""
    if not state.skips or state.scan_number < WHOLE_SCANS:
        return state
    return replace(state, skips=False, merged_at_scans=(state.look.merged_pages,))


def _is_growing(state: State) -> bool:
    return state.look.seconds - state.grown.seconds < QUIET_SECONDS


def _is_much(state: State) -> bool:
    """Return whether so much is new that scanning all again pays, or would soon be too late."""
    look = state.look
    most = look.anonymous_bytes * WAIT_SHARE
    if look.available_bytes is not None:
        most = min(most, look.available_bytes * WAIT_AVAILABLE_SHARE)
    return look.anonymous_bytes - state.asked.anonymous_bytes > most


def _spared(state: State) -> tuple[State, str]:
    """Wait if all that was asked for has merged, and what has grown since is little so far.

    Programs that are only replaced by others merge at once: meanwhile what had been saved is not.
    """
    look = state.look
    if state.asked.whole_scans(look) < WHOLE_SCANS or not _is_growing(state):
        return state, ""
    asked_bytes = state.asked.anonymous_bytes
    if look.anonymous_bytes - asked_bytes <= growth_bytes(asked_bytes):
        return state, ""
    if _is_much(state):
        return replace(state, asked=_mark(look), skips=True), ""
    waiting = replace(state, mode=Mode.WAIT, waits_since=look.seconds)
    merged = look.merged_pages * look.page_bytes / MIB
    waiting = replace(waiting, rest_rate=rest_rate(waiting))
    return waiting, f"wait: programs are still starting; {merged:.0f} MiB merged so far"


def _waited(state: State) -> tuple[State, str]:
    """Go on if there is enough to scan, or nothing to wait for."""
    look = state.look
    if not look.is_wanted:
        return _ended(state, NOT_WANTED)
    passed = look.seconds - state.waits_since
    if _is_growing(state) and not _is_much(state) and passed < WAIT_SECONDS_MAX:
        return state, ""
    more = look.anonymous_bytes - state.asked.anonymous_bytes
    return replace(_boosts(state), skips=True), f"boost: {more / MIB:.0f} MiB more to merge"


def _over(state: State) -> str:
    """Return why the boost is over; empty if it is not."""
    look = state.look
    if not look.is_wanted:
        return NOT_WANTED
    if state.scan_number >= WHOLE_SCANS and len(state.merged_at_scans) == 2:
        earlier, later = state.merged_at_scans
        if abs(later - earlier) <= max(STABLE_PAGES_MIN, int(later * STABLE_SHARE)):
            return "settled"
    # Not general_profit itself, which falls by 1/64 of everything that is scanned for the first
    # time.
    best = state.best_pages * look.page_bytes
    lost = best - look.merged_pages * look.page_bytes
    if state.scan_number >= 1 and lost > max(GROWTH_BYTES_MIN, best * LOSS_SHARE):
        return f"what had merged is written to, {lost / MIB:.0f} MiB came back"
    if look.full_scans - state.grown.full_scans >= SCANS_MAX:
        return f"not settled after {SCANS_MAX} full scans"
    return ""


def _ended(state: State, reason: str) -> tuple[State, str]:
    look = state.look
    ended = replace(state, mode=Mode.REST, skips=True)
    if look.is_wanted:
        # Otherwise what is left to merge waits for the next time.
        ended = replace(ended, settled_bytes=look.anonymous_bytes, settled_started=look.started)
    ended = replace(ended, rest_rate=rest_rate(ended))
    merged = look.merged_pages * look.page_bytes / MIB
    scans = look.full_scans - state.begun.full_scans
    seconds = look.seconds - state.begun.seconds
    return (
        ended,
        f"rest: {reason}; {merged:.0f} MiB merged, {scans} full scans in {seconds:.0f} s",
    )
