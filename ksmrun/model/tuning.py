"""Scan rate of ksmd: what is asked for, what is known, and what to set."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Profile(StrEnum):
    """Names for what ksmd may take."""

    GENTLE = "gentle"
    BALANCED = "balanced"
    FAST = "fast"


@dataclass(frozen=True)
class KsmdCounters:
    """Counters since boot at a moment of the monotonic clock. pages_scanned: None before 6.7."""

    seconds: float
    cpu_seconds: float
    pages_scanned: int | None

    def pages_since(self, before: KsmdCounters) -> int | None:
        """Return the pages scanned since an earlier reading; None if they are not counted."""
        if self.pages_scanned is None or before.pages_scanned is None:
            return None
        return self.pages_scanned - before.pages_scanned


@dataclass(frozen=True)
class ScanCost:
    """CPU time that ksmd needs per page. source: how that is known, for people."""

    seconds_per_page: float
    source: str


@dataclass(frozen=True)
class ScanRate:
    """Present scan rate of ksmd. pages_per_second: None before 6.7, which does not count them."""

    seconds: float
    cpu_share: float
    pages_per_second: float | None


@dataclass(frozen=True)
class Intent:
    """Target, of which at least one is given: time of a full scan, or share of a core at most."""

    full_scan_seconds: float | None = None
    cpu_share_max: float | None = None


@dataclass(frozen=True)
class Memory:
    """Memory that ksmd scans. mergeable_pages: of all merge-enabled processes.

    zero_share: share of zero pages among those sampled; None if none was. processes: their number.
    """

    mergeable_pages: int
    processes: int
    zero_share: float | None = None


@dataclass(frozen=True)
class Knob:
    """Tunable, its present value, its planned value, and the reason."""

    name: str
    now: str
    then: str
    why: str


@dataclass(frozen=True)
class TunePlan:
    """Values to set, in this order, and the expected result, which is None without a target.

    advice: (what, what to do) for changes that are left to the user.
    """

    knobs: tuple[Knob, ...]
    full_scan_seconds: float | None = None
    cpu_share: float | None = None
    advice: tuple[tuple[str, str], ...] = ()

    @property
    def changes(self) -> tuple[Knob, ...]:
        """Tunables whose planned value differs from the present one."""
        return tuple(knob for knob in self.knobs if knob.now != knob.then)
