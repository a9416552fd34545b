"""State that the monitor sees at one moment, and the alerts that follow from it."""

from __future__ import annotations

from dataclasses import field

from ksmrun.model.frozen import dataclass
from ksmrun.model.ksm import KsmFacts, Scheduling
from ksmrun.model.memory_group import GroupState
from ksmrun.model.process import ProcessKsm
from ksmrun.model.trust import Member

# All kinds, so that metrics show a zero for those without an alert.
ALERT_KINDS = (
    "map-headroom",
    "ksmd-off",
    "ksmd-starved",
    "ksmd-busy",
    "flag-lost",
    "costs-more",
    "cow-surge",
    "memory-could-come-back",
    "memory-comes-back",
    "foreign-merger",
)


@dataclass(frozen=True)
class HostState:
    """State of the host. seconds: monotonic clock. Counters count since boot; unknown is None.

    ksmd_waited_seconds: ready to run, without a CPU. vmas_merge: whether neighbouring mappings of a
    merging program join (Linux 6.17).
    """

    seconds: float
    ksm: KsmFacts
    ksmd_cpu_seconds: float | None
    cow_breaks: int | None
    mem_total_bytes: int | None
    mem_available_bytes: int | None
    swap_free_bytes: int | None
    max_map_count: int | None
    ksmd_waited_seconds: float | None = None
    ksmd_scheduling: Scheduling | None = None
    vmas_merge: bool | None = None


@dataclass(frozen=True)
class MapCount:
    """Number of VMAs of a process when last counted, and its growth up to then.

    per_second: the slower of the last two intervals; 0 if it does not grow. last_per_second: the
    last interval, which alone may have been a single leap.
    """

    maps: int
    seconds: float
    per_second: float
    last_per_second: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Watched(ProcessKsm):
    """Process that merges, or did when the monitor first saw it.

    since_full_scans: the host's count when first seen. program: the guard's key for it. count: what
    maps is from. pss_bytes, uss_bytes and maps: as last measured.
    """

    since_full_scans: int | None
    program: str | None = None
    count: MapCount | None = None
    anonymous_bytes: int | None = None


@dataclass(frozen=True)
class Followed:
    """Programs whose new memory the monitor marks. cpu_seconds: CPU time used for that so far.

    stopped_ns_max: longest time that one of them was stopped.
    """

    processes: int
    cpu_seconds: float
    stopped_ns_max: int


@dataclass(frozen=True)
class TrustView:
    """Merging processes by trust domain. names: domains of the file; held_by: which may merge.

    is_sure: whether it is known which domain is claimed.
    """

    names: tuple[str, ...]
    members: tuple[Member, ...]
    held_by: str | None
    is_sure: bool = True


@dataclass(frozen=True)
class WatchState:
    """Everything that one sample saw. boosts: whether ksmd is set to its fast rate now.

    boosts is None if the monitor does not set the rate; followed is None if it follows nothing;
    trust is None without a trust file that can be used.
    """

    host: HostState
    processes: tuple[Watched, ...]
    groups: tuple[GroupState, ...] = ()
    unreadable: int = 0
    boosts: bool | None = None
    followed: Followed | None = None
    trust: TrustView | None = None


@dataclass(frozen=True)
class Condition:
    """State of one watched quantity. is_bad raises an alert, is_clear ends it.

    Between the two an alert stays as it is. key: identifies the subject within its kind; subject:
    the same for people.
    """

    kind: str
    key: str
    subject: str
    is_bad: bool
    is_clear: bool
    what: str
    todo: str
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """Start (raised) or end of an alert."""

    raised: bool
    condition: Condition
