"""Processes as observed: their identity, and what merging gains and costs them."""

from __future__ import annotations

from enum import StrEnum

from ksmrun.model.frozen import dataclass

# Name of a pod's pause container in NAMESPACE/POD/CONTAINER. Kubernetes allows no capitals in other
# names.
PAUSE = "POD"
# Share of the host's merged pages below which unlisted ones are an effect of counting over time.
UNCOUNTED_SHARE_MAX = 0.02


class By(StrEnum):
    """Grouping of a list: the property that one row stands for."""

    PROCESS = "process"
    UNIT = "unit"
    NAMESPACE = "namespace"
    POD = "pod"
    CONTAINER = "container"
    JOB = "job"
    USER = "user"
    COMMAND = "command"
    EXECUTABLE = "executable"


class Sort(StrEnum):
    """Order of a list: names upwards, the most first, the least headroom first."""

    NAME = "name"
    PROCESSES = "processes"
    MERGED = "merged"
    ZERO = "zero"
    PROFIT = "profit"
    RSS = "rss"
    PSS = "pss"
    MAPS = "maps"
    HEADROOM = "headroom"


@dataclass(frozen=True)
class Container:
    """Container as the host sees it.

    engine: docker, podman, containerd, cri-o, lxc, ...; None if its cgroup shows no more than an
    id. pod: uid of the Kubernetes pod.
    """

    engine: str | None
    id: str
    pod: str | None = None


@dataclass(frozen=True)
class Placement:
    """Unit, container and Slurm's job of a process, from its cgroup.

    A user's unit is "user@1000.service/NAME".
    """

    unit: str | None
    container: Container | None
    job: str | None = None


@dataclass(frozen=True)
class Identity:
    """Identity of a process; a PID alone may belong to another process a moment later.

    start_ticks: clock ticks after boot. name: the kernel's, up to 15 bytes. uid: effective.
    container: its name for people. job: Slurm's number. What this user may not read is None.
    """

    pid: int
    start_ticks: int
    name: str
    command: str
    executable: str | None
    uid: int | None
    user: str | None
    unit: str | None
    engine: str | None
    container: str | None
    container_id: str | None
    pod: str | None
    job: str | None = None

    @property
    def pod_names(self) -> tuple[str, str, str] | None:
        """Namespace, pod and container; None outside of pods, or if the names are not known.

        Kubernetes' names have no slash, so that anything else has not these three parts.
        """
        names = (self.container or "").split("/")
        return (names[0], names[1], names[2]) if len(names) == 3 and all(names) else None

    @property
    def is_pause(self) -> bool:
        """Return whether this is a pause container, which only holds a pod's namespaces."""
        return self.pod_names is not None and self.pod_names[2] == PAUSE


@dataclass(frozen=True)
class Sweeper:
    """Status that the shim's thread publishes.

    Whether it marks or joins, whether it is running or why not, number of sweeps, VMAs now, VMAs
    expected with marking, and bytes marked.
    """

    work: str
    state: str
    sweeps: int | None
    vmas: int | None
    vmas_max: int | None
    marked_bytes: int | None


@dataclass(frozen=True)
class ProcessKsm:
    """Merge-enabled process. Fields that this kernel or user cannot read are None.

    So are the expensive ones when they were not asked for (pss_bytes, uss_bytes, maps). uss_bytes:
    memory that no other process has. enabled_by: mechanism; None in the monitor for a process whose
    flag was lost since.
    """

    identity: Identity
    enabled_by: str | None
    merging_pages: int | None
    zero_pages: int | None
    rmap_items: int | None
    profit_bytes: int | None
    rss_bytes: int | None = None
    pss_bytes: int | None = None
    uss_bytes: int | None = None
    maps: int | None = None
    sweeper: Sweeper | None = None
    # Place of its program in memory, which an exec changes (facts/identity.py).
    image: tuple[int, ...] = ()

    @property
    def pid(self) -> int:
        """Process ID."""
        return self.identity.pid

    @property
    def command(self) -> str:
        """Command line, quoted for a shell."""
        return self.identity.command


@dataclass(frozen=True)
class ProcessList:
    """All merge-enabled processes that could be read, and the number that could not.

    pages_shared and pages_sharing: counters of the host, for all its processes.
    """

    processes: tuple[ProcessKsm, ...]
    unreadable: int
    hidepid: bool
    page_bytes: int
    pages_shared: int | None
    max_map_count: int | None
    pages_sharing: int | None = None

    @property
    def others_pages(self) -> int | None:
        """Number of the host's merged pages that no listed process has; None if not counted.

        Each merged page is counted in one process (mm/ksm.c: ksm_merging_pages), so all of them
        have pages_shared + pages_sharing. Those are counted a moment earlier, and hold the pages of
        ended processes until ksmd comes by: small remainders count as nothing.
        """
        if self.pages_shared is None or self.pages_sharing is None:
            return None
        merged = self.pages_shared + self.pages_sharing
        left = merged - self._merging_pages
        return left if left > merged * UNCOUNTED_SHARE_MAX else 0

    @property
    def profit_bytes(self) -> int | None:
        """Sum of the profits minus the pages kept, which each process counts as saved too.

        None if other processes have merged pages too: then the owner of a kept page is unknown.
        """
        return None if self.others_pages else self.profit_bytes_min

    @property
    def profit_bytes_min(self) -> int | None:
        """Lower bound of what they save: as if they owned as many kept pages as possible."""
        if self.profit_bytes_max is None or self.pages_shared is None:
            return None
        kept = min(self.pages_shared, self._merging_pages)
        return self.profit_bytes_max - kept * self.page_bytes

    @property
    def profit_bytes_max(self) -> int | None:
        """Upper bound of what they save: as if other processes owned all kept pages."""
        profits = [p.profit_bytes for p in self.processes if p.profit_bytes is not None]
        return sum(profits) if profits else None

    @property
    def _merging_pages(self) -> int:
        return sum(process.merging_pages or 0 for process in self.processes)
