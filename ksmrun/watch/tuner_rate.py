"""Compute ksmd's scan rate in each mode of watch/tuner.py from its share of a core. Pure."""

from __future__ import annotations

from dataclasses import replace

from ksmrun.watch.tuner_state import (
    BOOST_SLEEP_MILLISECS,
    RATE_MAX,
    RATE_MIN,
    REST_SLEEP_MILLISECS,
    Look,
    Mode,
    State,
)

# Share of a core.
REST_SHARE = 0.002
# Minimum time of a full scan: a page that was just written may not stay as it is.
BOOST_SCAN_SECONDS_MIN, REST_SCAN_SECONDS_MIN = 1.5, 60.0
# Bound on the rate's change in one step. Where no page has its equal, the same number takes ten
# times as long (examples/tuning). Nothing is urgent at rest: what grows begins a boost.
STEP_MAX, REST_RISE_MAX = 4.0, 1.25
# The cap holds on average; a single step may exceed it.
CAP_MARGIN = 0.9
# Share of time in which some task waited for a CPU (Documentation/accounting/psi.rst).
PRESSURE_HIGH, PRESSURE_LOW = 0.3, 0.1
# The cap is not lowered further, as a share of a core.
CAP_SHARE_MIN = 0.05


def cap(before: State, look: Look, most: float) -> float:
    """Return the cap: halved while programs wait for a CPU, then raised in steps."""
    earlier = before.look
    passed = look.seconds - earlier.seconds
    if look.pressure_seconds is None or earlier.pressure_seconds is None or passed <= 0:
        return most
    pressure = (look.pressure_seconds - earlier.pressure_seconds) / passed
    if pressure > PRESSURE_HIGH:
        return max(before.cap_share / 2, min(most, CAP_SHARE_MIN))
    if pressure < PRESSURE_LOW:
        return min(most, before.cap_share * 1.25)
    return min(most, before.cap_share)


def rated(state: State, before: State) -> State:
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
    factor = min(max(factor, 1 / STEP_MAX), STEP_MAX if is_boost else REST_RISE_MAX)
    if not is_boost:
        return replace(state, rest_rate=_bounded(state.rest_rate * factor, state))
    wanted = state.boost_rate * factor
    if factor > 1:
        # Of so few pages the CPU time, counted in ticks, tells next to nothing.
        wanted = max(wanted, state.bounded_from)
    return boosted(state, wanted)


def boosted(state: State, wanted: float) -> State:
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
    most = pages * state.sleep_millisecs / 1e3 / full_scan_seconds
    return min(max(rate, RATE_MIN), max(most, RATE_MIN), RATE_MAX)


def rest_rate(state: State) -> float:
    """Return a first guess: pages cost what they did during the boost."""
    guess = state.boost_rate * _odds(REST_SHARE) / _odds(state.cap_share * CAP_MARGIN)
    guess *= REST_SLEEP_MILLISECS / BOOST_SLEEP_MILLISECS
    return _bounded(max(state.rest_rate, guess), state)
