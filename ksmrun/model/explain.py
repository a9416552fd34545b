"""Input and conclusions of `ksmrun explain`."""

from __future__ import annotations

from ksmrun.model.frozen import dataclass
from ksmrun.model.ksm import KsmFacts
from ksmrun.model.process import Identity


@dataclass(frozen=True)
class MemoryKind:
    """VMAs of one kind, summed up (proc_pid_smaps(5)).

    anonymous_bytes: what KSM could merge if it were marked; marked_bytes: the part of it in marked
    VMAs ("mg"). merged_bytes: None before 6.8.
    """

    vmas: int = 0
    size_bytes: int = 0
    rss_bytes: int = 0
    anonymous_bytes: int = 0
    marked_bytes: int = 0
    merged_bytes: int | None = None
    huge_bytes: int = 0
    marked_huge_bytes: int = 0
    swap_bytes: int = 0


@dataclass(frozen=True)
class Counters:
    """Counters of a process and its host at one moment; None if unknown."""

    merging_pages: int | None
    zero_pages: int | None
    rmap_items: int | None
    profit_bytes: int | None
    ksm: KsmFacts

    @property
    def merged_pages(self) -> int:
        """Merged pages, including those mapped to the zero page."""
        return (self.merging_pages or 0) + (self.zero_pages or 0)


@dataclass(frozen=True)
class Sampled:
    """Sample of resident marked pages, read twice. changed: pages whose bytes differed."""

    pages: int
    changed: int


@dataclass(frozen=True)
class ProcessLook:
    """Observation of one process over some seconds.

    before, after: None if this user may not read them. sampled: None if its memory cannot be read.
    """

    identity: Identity
    age_seconds: float
    seconds: float
    enabled_by: str | None
    kinds: dict[str, MemoryKind]
    before: Counters | None
    after: Counters | None
    sampled: Sampled | None
    ksm: KsmFacts
    numa_nodes: int | None
    max_map_count: int | None

    def total(self, field: str) -> int:
        """Return the sum of one field over all kinds."""
        return sum(getattr(kind, field) or 0 for kind in self.kinds.values())


@dataclass(frozen=True)
class Cause:
    """Reason why memory is not merged, what to do, and how much it concerns.

    The amount is None if it is unknown, or if it is everything.
    """

    name: str
    size_bytes: int | None
    found: str
    todo: str
