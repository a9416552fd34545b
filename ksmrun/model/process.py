"""What is seen of processes: who they are, what merging gains and costs them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# What Kubernetes calls a pod's pause container in NAMESPACE/POD/CONTAINER; no other can have
# capitals in its name.
PAUSE = "POD"


class By(StrEnum):
    """What one row of a list stands for."""

    PROCESS = "process"
    UNIT = "unit"
    CONTAINER = "container"
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
    """A container as the host sees it. engine: docker, podman, containerd, cri-o, lxc, ..., None
    where its cgroup tells no more than an id; pod: the uid of a Kubernetes pod.
    """

    engine: str | None
    id: str
    pod: str | None = None


@dataclass(frozen=True)
class Placement:
    """Where a process is by its cgroup. unit: of systemd, "user@1000.service/NAME" for a user's."""

    unit: str | None
    container: Container | None


@dataclass(frozen=True)
class Identity:
    """Who a process is; a PID alone may be another's a moment later.

    start_ticks: after boot, in clock ticks. name: the kernel's, up to 15 bytes. uid: the effective
    one. container: what people call it. What this user may not read is None.
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

    @property
    def is_pause(self) -> bool:
        """Whether it does no more than hold a pod's namespaces; a pod has one."""
        names = (self.container or "").split("/")
        return len(names) == 3 and names[2] == PAUSE


@dataclass(frozen=True)
class Sweeper:
    """What the shim's thread says of itself: whether it is to mark or to join, and is at work, or
    why not; how often it swept; VMAs counted, and how many it would mark with; bytes it marked.
    """

    work: str
    state: str
    sweeps: int | None
    vmas: int | None
    vmas_max: int | None
    marked_bytes: int | None


@dataclass(frozen=True)
class ProcessKsm:
    """One merge-enabled process. Fields that this kernel or user cannot read are None, and so is
    what was not looked at because it costs much (pss_bytes, maps).
    """

    identity: Identity
    enabled_by: str
    merging_pages: int | None
    zero_pages: int | None
    rmap_items: int | None
    profit_bytes: int | None
    rss_bytes: int | None
    pss_bytes: int | None
    maps: int | None
    sweeper: Sweeper | None = None

    @property
    def pid(self) -> int:
        """Its number."""
        return self.identity.pid

    @property
    def command(self) -> str:
        """Its command line, quoted as for a shell."""
        return self.identity.command


@dataclass(frozen=True)
class ProcessList:
    """All merge-enabled processes that could be read, and what could not."""

    processes: tuple[ProcessKsm, ...]
    unreadable: int
    hidepid: bool
    page_bytes: int
    pages_shared: int | None
    max_map_count: int | None

    @property
    def profit_bytes(self) -> int | None:
        """Sum of the profits less the pages kept: each process counts its kept page as saved too.

        A lower bound where some processes could not be read.
        """
        profits = [p.profit_bytes for p in self.processes if p.profit_bytes is not None]
        if not profits or self.pages_shared is None:
            return None
        return sum(profits) - self.pages_shared * self.page_bytes
