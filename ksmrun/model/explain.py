"""What `ksmrun explain` looks at, and what it says."""

from __future__ import annotations

from dataclasses import dataclass

from ksmrun.model import KsmFacts
from ksmrun.model.process import Identity


@dataclass(frozen=True)
class MemoryKind:
    """The VMAs of one kind (proc_pid_smaps(5)), summed up.

    anonymous_bytes: what KSM can merge where it is marked; marked_bytes: of that, in VMAs that are
    ("mg"). merged_bytes: None before 6.8.
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
    """A process and its host at one moment. Not known: None."""

    merging_pages: int | None
    zero_pages: int | None
    rmap_items: int | None
    profit_bytes: int | None
    ksm: KsmFacts

    @property
    def merged_pages(self) -> int:
        """With the kernel's zero page too."""
        return (self.merging_pages or 0) + (self.zero_pages or 0)


@dataclass(frozen=True)
class Sampled:
    """Resident pages of marked memory, read twice; changed: how many had other bytes then."""

    pages: int
    changed: int


@dataclass(frozen=True)
class ProcessLook:
    """One process over some seconds. before and after are None where this user may not read it.

    sampled: None where its memory cannot be read.
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
        """One figure of all kinds."""
        return sum(getattr(kind, field) or 0 for kind in self.kinds.values())


@dataclass(frozen=True)
class Cause:
    """Why memory is not merged, how much of it (None: it cannot be told, or all), what to do."""

    name: str
    size_bytes: int | None
    found: str
    todo: str
