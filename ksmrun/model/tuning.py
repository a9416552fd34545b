"""How fast ksmd is to scan: what is asked for, what is known, and what to set."""

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
    """At a moment of the monotonic clock: since boot. pages_scanned: None before 6.7."""

    seconds: float
    cpu_seconds: float
    pages_scanned: int | None

    def pages_since(self, before: KsmdCounters) -> int | None:
        """Scanned in between; None where that is not counted."""
        if self.pages_scanned is None or before.pages_scanned is None:
            return None
        return self.pages_scanned - before.pages_scanned


@dataclass(frozen=True)
class ScanCost:
    """ksmd's CPU time for a page. source: how that is known, for people."""

    seconds_per_page: float
    source: str


@dataclass(frozen=True)
class ScanRate:
    """What ksmd does now. pages_per_second: None before 6.7, which count no scanned pages."""

    seconds: float
    cpu_share: float
    pages_per_second: float | None


@dataclass(frozen=True)
class Intent:
    """One of them is given, or both: a pass in so long, at most so much of a core."""

    pass_seconds: float | None = None
    cpu_share_max: float | None = None


@dataclass(frozen=True)
class Memory:
    """mergeable_pages: of the processes that ksmd works for. zero_share: of those looked at; None
    where none was. processes: how many they are.
    """

    mergeable_pages: int
    processes: int
    zero_share: float | None = None


@dataclass(frozen=True)
class Knob:
    """A tunable, what it is, is to be, and why."""

    name: str
    now: str
    then: str
    why: str


@dataclass(frozen=True)
class TunePlan:
    """What to set, in this order, and what is to be expected of it. advice: (what, what to do) of
    what is not set by itself.
    """

    knobs: tuple[Knob, ...]
    pass_seconds: float
    cpu_share: float
    advice: tuple[tuple[str, str], ...] = ()

    @property
    def changes(self) -> tuple[Knob, ...]:
        """What is not so already."""
        return tuple(knob for knob in self.knobs if knob.now != knob.then)
