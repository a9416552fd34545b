"""Group processes by unit, container, user, ..., and sort the groups. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ksmrun.model.frozen import dataclass
from ksmrun.model.process import By, Identity, ProcessKsm, Sort


@dataclass(frozen=True)
class Group:
    """Processes under one name. Sums cover those whose value is known; None: none is.

    key: identifies the group, also in later samples.
    """

    key: object
    name: str
    processes: tuple[ProcessKsm, ...]

    @property
    def merging_pages(self) -> int | None:
        """Pages merged with others, including the ones that each group of equal pages keeps."""
        return _sum(process.merging_pages for process in self.processes)

    @property
    def zero_pages(self) -> int | None:
        """Pages merged with the kernel's zero page."""
        return _sum(process.zero_pages for process in self.processes)

    @property
    def profit_bytes(self) -> int | None:
        """Sum of the processes' profits; each counts the pages kept once as saved too."""
        return _sum(process.profit_bytes for process in self.processes)

    @property
    def rss_bytes(self) -> int | None:
        """Resident memory; merged pages count fully in each process."""
        return _sum(process.rss_bytes for process in self.processes)

    @property
    def pss_bytes(self) -> int | None:
        """Proportional set size: shared pages count by their share."""
        return _sum(process.pss_bytes for process in self.processes)

    @property
    def uss_bytes(self) -> int | None:
        """Memory that no other process has; divided by the processes, what one more would take."""
        return _sum(process.uss_bytes for process in self.processes)

    @property
    def unmerge_max_pages(self) -> int | None:
        """Pages that come back if the process with most merged pages is unmerged."""
        counts = (
            process.merging_pages + (process.zero_pages or 0)
            for process in self.processes
            if process.merging_pages is not None
        )
        return max(counts, default=None)

    def copy_bytes(self) -> int | None:
        """Return what one more such process would take once merged: the mean of what each adds."""
        known = [each.uss_bytes for each in self.processes if each.uss_bytes is not None]
        return sum(known) // len(known) if known else None

    def request_bytes(self, page_bytes: int) -> int | None:
        """Return the memory to request for each process from a scheduler.

        Together they leave room for one that is unmerged, as Prediction.request_bytes of an
        estimate does; files count too. None unless all of it is known.
        """
        known = [each.pss_bytes for each in self.processes if each.pss_bytes is not None]
        unmerged = self.unmerge_max_pages
        if unmerged is None or len(known) < len(self.processes):
            return None
        return (sum(known) + unmerged * page_bytes) // len(known)

    @property
    def maps(self) -> int | None:
        """Highest number of VMAs of one process, because the limit applies to each process."""
        counts = (process.maps for process in self.processes)
        return max((count for count in counts if count is not None), default=None)

    @property
    def enabled_by(self) -> str:
        """All mechanisms in use."""
        return ",".join(sorted({process.enabled_by or "-" for process in self.processes}))

    def headroom_maps(self, max_map_count: int | None) -> int | None:
        """Return the smallest headroom of one process, in VMAs."""
        known = self.maps
        return None if known is None or max_map_count is None else max_map_count - known


def _in_pod(who: Identity, name: Callable[[tuple[str, str, str]], str]) -> tuple[object, str]:
    """Return key and name of a pod's process; where only its uid is known, that names the pod."""
    if who.pod_names is not None:
        found = name(who.pod_names)
        return found, found
    return (None, "(no pod)") if who.pod is None else (("uid", who.pod), f"(pod {who.pod})")


# Key of a group, and its name.
KEYS: dict[By, Callable[[Identity], tuple[object, str]]] = {
    By.PROCESS: lambda who: ((who.pid, who.start_ticks), str(who.pid)),
    By.UNIT: lambda who: (who.unit, who.unit or "(no unit)"),
    By.NAMESPACE: lambda who: _in_pod(who, lambda names: names[0]),
    By.POD: lambda who: _in_pod(who, lambda names: f"{names[0]}/{names[1]}"),
    By.CONTAINER: lambda who: ((who.engine, who.container_id), container_label(who)),
    By.JOB: lambda who: (who.job, who.job or "(no job)"),
    By.USER: lambda who: (who.uid, who.user or "(unknown)"),
    By.COMMAND: lambda who: (who.name, who.name),
    By.EXECUTABLE: lambda who: (who.executable, who.executable or "(unreadable)"),
}


def group(processes: Iterable[ProcessKsm], by: By) -> list[Group]:
    """Return the groups, in the order in which they first occur."""
    found: dict[object, tuple[str, list[ProcessKsm]]] = {}
    for process in processes:
        key, name = KEYS[by](process.identity)
        found.setdefault(key, (name, []))[1].append(process)
    return [Group(key, name, tuple(members)) for key, (name, members) in found.items()]


def matching(processes: Iterable[ProcessKsm], text: str) -> list[ProcessKsm]:
    """Return the processes that have the text in one of their names, ignoring case."""
    wanted = text.casefold()
    return [process for process in processes if wanted in _words(process.identity).casefold()]


def _words(who: Identity) -> str:
    job = f"job {who.job}" if who.job else None
    words = (who.pid, who.command, who.user, who.unit, container_label(who), job, who.executable)
    return "\n".join(str(word) for word in words if word)


def container_label(who: Identity) -> str:
    """Return the container's name with its engine."""
    if who.container is None:
        return "(no container)"
    return f"{who.container} ({who.engine})" if who.engine else who.container


def sort_groups(groups: Iterable[Group], sort: Sort) -> list[Group]:
    """Return the groups sorted, unknown values last; ties keep their order."""
    figures: dict[Sort, Callable[[Group], int | None]] = {
        Sort.PROCESSES: lambda group: len(group.processes),
        Sort.MERGED: lambda group: group.merging_pages,
        Sort.ZERO: lambda group: group.zero_pages,
        Sort.PROFIT: lambda group: group.profit_bytes,
        Sort.RSS: lambda group: group.rss_bytes,
        Sort.PSS: lambda group: group.pss_bytes,
        # The highest count leaves the least headroom.
        Sort.MAPS: lambda group: group.maps,
        Sort.HEADROOM: lambda group: group.maps,
    }
    if sort is Sort.NAME:
        return sorted(groups, key=lambda group: _in_order(group.name))
    figure = figures[sort]
    known = [(figure(group), group) for group in groups]
    return [
        group for _, group in sorted(known, key=lambda pair: (pair[0] is None, -(pair[0] or 0)))
    ]


def _in_order(name: str) -> tuple[int, str]:
    """Sort PIDs as numbers."""
    return (int(name), "") if name.isascii() and name.isdigit() else (0, name)


def _sum(figures: Iterable[int | None]) -> int | None:
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known else None
