"""What the monitor sees at one moment, and the alerts that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ksmrun.model.process import Identity

# Every kind, so that metrics show a zero for those that are silent.
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
)


@dataclass(frozen=True)
class HostState:
    """The host. seconds: of the monotonic clock. Counters count since boot; what this kernel does
    not show is None. ksmd_waited_seconds: ready to run, without a CPU. vmas_merge: whether
    neighbouring mappings of a merging program join (Linux 6.17).
    """

    seconds: float
    page_bytes: int
    run: int | None
    pages_shared: int | None
    pages_sharing: int | None
    zero_pages: int | None
    pages_scanned: int | None
    full_scans: int | None
    profit_bytes: int | None
    ksmd_cpu_seconds: float | None
    cow_breaks: int | None
    mem_total_bytes: int | None
    mem_available_bytes: int | None
    swap_free_bytes: int | None
    max_map_count: int | None
    sleep_millisecs: int | None = None
    pages_to_scan: int | None = None
    advisor_mode: str | None = None
    ksmd_waited_seconds: float | None = None
    vmas_merge: bool | None = None

    @property
    def merged_bytes(self) -> int:
        """What would come back if everything were unmerged."""
        # The kernel's count of zero pages was seen to end below zero.
        pages = (self.pages_sharing or 0) + (self.zero_pages or 0)
        return max(pages, 0) * self.page_bytes


@dataclass(frozen=True)
class MapCount:
    """Maps of a process when they were last counted.

    per_second: how fast they grow, by the slower of the last two intervals; 0 where they do not.
    last_per_second: in the last interval, which alone may have been a single leap.
    """

    maps: int
    seconds: float
    per_second: float
    last_per_second: float = 0.0


@dataclass(frozen=True)
class Watched:
    """A process that merges, or did when the monitor first saw it.

    enabled_by: None where the flag was lost since. since_full_scans: the host's count when it was
    first seen. program: what the guard knows it by. pss_bytes and maps: of the last look at them.
    """

    identity: Identity
    enabled_by: str | None
    merging_pages: int | None
    zero_pages: int | None
    rmap_items: int | None
    profit_bytes: int | None
    since_full_scans: int | None
    program: str | None = None
    pss_bytes: int | None = None
    maps: MapCount | None = None
    anonymous_bytes: int | None = None


@dataclass(frozen=True)
class GroupState:
    """A cgroup with a limit, and what its processes have merged. free_bytes: what it could still
    take, with the page cache that would be dropped for it.
    """

    path: str
    limit_bytes: int
    free_bytes: int
    merged_bytes: int


@dataclass(frozen=True)
class Followed:
    """Programs whose new memory the monitor marks. cpu_seconds: what that has cost so far.
    stopped_ns_max: for how long one of them stood still at the longest.
    """

    processes: int
    cpu_seconds: float
    stopped_ns_max: int


@dataclass(frozen=True)
class WatchState:
    """All that one sample saw. boosts: whether ksmd is made to work fast now; None where the
    monitor does not set its rate. followed: None where it follows nothing.
    """

    host: HostState
    processes: tuple[Watched, ...]
    groups: tuple[GroupState, ...] = ()
    unreadable: int = 0
    boosts: bool | None = None
    followed: Followed | None = None


@dataclass(frozen=True)
class Condition:
    """How one thing stands. is_bad raises an alert, is_clear ends it; between the two it stays as
    it is. key: what it is about, beside the kind; subject: the same for people.
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
    """An alert that begins (raised) or ends."""

    raised: bool
    condition: Condition
