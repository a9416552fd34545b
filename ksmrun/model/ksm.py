"""What KSM and its host show."""

from __future__ import annotations

from ksmrun.model.frozen import dataclass

# mm/ksm.c: ksm_scan_thread.
KSMD_NICE = 5


@dataclass(frozen=True)
class KsmFacts:
    """Content of /sys/kernel/mm/ksm, one entry per readable file. Numbers are int, modes are text.

    present is False if the kernel has no KSM or /sys is not mounted.
    """

    present: bool
    page_bytes: int
    values: dict[str, int | str]

    def number(self, name: str) -> int | None:
        """Return the value of a counter or tunable; None if absent or not a number."""
        value = self.values.get(name)
        return value if isinstance(value, int) else None

    @property
    def run(self) -> int | None:
        """Return 0: off, 1: on, 2: unmerging."""
        return self.number("run")

    @property
    def full_scans(self) -> int | None:
        """Return how often ksmd has scanned all mergeable memory since boot."""
        return self.number("full_scans")

    @property
    def pages_scanned(self) -> int | None:
        """Return the pages scanned since boot; None before Linux 6.7."""
        return self.number("pages_scanned")

    @property
    def merged_pages(self) -> int | None:
        """Pages that need no memory of their own; None if unknown."""
        sharing = self.number("pages_sharing")
        # 6.18 can lose count of zero pages and fall below 0.
        return None if sharing is None else sharing + max(self.number("ksm_zero_pages") or 0, 0)

    @property
    def merged_bytes(self) -> int:
        """Memory that unmerging everything needs: a page per place that shares one now."""
        return (self.merged_pages or 0) * self.page_bytes


@dataclass(frozen=True)
class Scheduling:
    """Where and when the thread ksmd may run. cpus: a list; None if all that are online."""

    cpus: str | None
    nice: int
    policy: str

    @property
    def is_idle(self) -> bool:
        """Return whether it runs only where nothing else wants to (sched(7): SCHED_IDLE)."""
        return self.policy == "idle"

    @property
    def unusual(self) -> str:
        """Return how it differs from the kernel's default, in words; empty if it does not."""
        parts = [] if self.cpus is None else [f"on CPU {self.cpus} only"]
        if self.policy != "normal":
            parts.append(f"with the policy {self.policy}")
        if self.nice != KSMD_NICE and not self.is_idle:
            parts.append(f"at nice {self.nice}")
        return ", ".join(parts)


@dataclass(frozen=True)
class HostFacts:
    """Properties of this host that decide whether and how fast memory merges."""

    kernel: str
    ksm: KsmFacts
    mem_total_bytes: int | None
    mem_available_bytes: int | None
    anonymous_bytes: int | None
    swap_total_bytes: int | None
    swap_free_bytes: int | None
    zswap_enabled: bool | None
    thp_enabled: str | None
    max_map_count: int | None
    numa_nodes: int | None
    container: str | None
    hidepid: bool | None
    seccomp_mode: int | None
    no_new_privs: bool | None
    capabilities: tuple[str, ...] | None
    ksm_writable: bool
    khugepaged_max_ptes_shared: int | None = None
