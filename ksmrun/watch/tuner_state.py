"""What decides ksmd's scan rate: observations, moments, and the state between two steps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """Mode of ksmd."""

    REST = "rest"
    BOOST = "boost"
    WAIT = "wait"


@dataclass(frozen=True)
class Look:
    """Observation at one moment. seconds: of the monotonic clock.

    ksmd_cpu_seconds, pressure_seconds and scanned_pages count since boot; the last has those that
    smart_scan skips, and is None before 6.7. known_pages: pages of a full scan. anonymous_bytes: of
    the merging processes; started: how many of them the monitor has seen start. is_wanted: whether
    merging may take CPU time now. available_bytes: of the host.
    """

    seconds: float
    page_bytes: int
    full_scans: int
    merged_pages: int
    known_pages: int
    ksmd_cpu_seconds: float
    pressure_seconds: float | None
    anonymous_bytes: int
    started: int
    is_wanted: bool = True
    scanned_pages: int | None = None
    available_bytes: int | None = None


@dataclass(frozen=True)
class Mark:
    """Moment from which full scans and growth count."""

    seconds: float = 0.0
    full_scans: int = 0
    scanned_pages: int | None = None
    anonymous_bytes: int = 0

    def whole_scans(self, look: Look) -> int:
        """Return how often ksmd has visited all that was there, from wherever it stood.

        full_scans counts the end of a scan that was under way, too. The pages tell whether the rest
        of that one has been made up for.
        """
        ends = look.full_scans - self.full_scans
        scanned, before = look.scanned_pages, self.scanned_pages
        if scanned is None or before is None or scanned - before < ends * look.known_pages:
            return max(ends - 1, 0)
        return ends


# Pages each time that ksmd wakes up.
RATE_MIN, RATE_MAX = 1, 1_000_000
# The kernel's default while there is something to gain; otherwise waking up is what costs.
BOOST_SLEEP_MILLISECS, REST_SLEEP_MILLISECS = 20, 100


@dataclass(frozen=True)
class State:
    """State carried to the next step. rate: pages_to_scan, the last suitable one of each mode.

    bounded_from: rate of a boost before the size of the memory bounded it; 0 if it does not.
    waits_since: when a wait began. begun: the boost. asked: what was there then is scanned twice
    before ksmd waits. grown: the memory last grew. merged_at_scans: merged memory at the end of
    whole scan number scan_number since then, and of the one before. skips: smart_scan is on.
    """

    look: Look
    mode: Mode = Mode.REST
    boost_rate: float = 1000.0
    rest_rate: float = float(RATE_MIN)
    cap_share: float = 0.7
    settled_bytes: int = 0
    settled_started: int = 0
    waits_since: float = 0.0
    begun: Mark = Mark()
    asked: Mark = Mark()
    grown: Mark = Mark()
    scan_number: int = 0
    merged_at_scans: tuple[int, ...] = ()
    best_pages: int = 0
    bounded_from: float = 0.0
    skips: bool = True

    @property
    def rate(self) -> int:
        """Planned value of pages_to_scan."""
        return round(self.boost_rate if self.mode is Mode.BOOST else self.rest_rate)

    @property
    def sleep_millisecs(self) -> int:
        """Planned value of sleep_millisecs."""
        return BOOST_SLEEP_MILLISECS if self.mode is Mode.BOOST else REST_SLEEP_MILLISECS
