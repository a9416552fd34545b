"""Processes together: by unit, container, user, ...; sorted. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ksmrun.model.process import By, Identity, ProcessKsm, Sort


@dataclass(frozen=True)
class Group:
    """Processes under one name. Sums run over those whose figure is known; None: of none.

    key: what tells it from others, also later.
    """

    key: object
    name: str
    processes: tuple[ProcessKsm, ...]

    @property
    def merging_pages(self) -> int | None:
        """Pages merged with others', each group's kept ones among them."""
        return _sum(process.merging_pages for process in self.processes)

    @property
    def zero_pages(self) -> int | None:
        """Pages merged with the kernel's zero page."""
        return _sum(process.zero_pages for process in self.processes)

    @property
    def profit_bytes(self) -> int | None:
        """Counts the pages kept once as saved too, in each process."""
        return _sum(process.profit_bytes for process in self.processes)

    @property
    def rss_bytes(self) -> int | None:
        """Merged pages count in each process."""
        return _sum(process.rss_bytes for process in self.processes)

    @property
    def pss_bytes(self) -> int | None:
        """Shared pages count by their share."""
        return _sum(process.pss_bytes for process in self.processes)

    @property
    def maps(self) -> int | None:
        """The most that one of them has: the limit is each process' own."""
        known = (process.maps for process in self.processes if process.maps is not None)
        return max(known, default=None)

    @property
    def enabled_by(self) -> str:
        """All ways."""
        return ",".join(sorted({process.enabled_by for process in self.processes}))

    def headroom_maps(self, max_map_count: int | None) -> int | None:
        """The least that one of them has left."""
        known = self.maps
        return None if known is None or max_map_count is None else max_map_count - known


# What tells two groups apart, and what they are called.
KEYS: dict[By, Callable[[Identity], tuple[object, str]]] = {
    By.PROCESS: lambda who: ((who.pid, who.start_ticks), str(who.pid)),
    By.UNIT: lambda who: (who.unit, who.unit or "(no unit)"),
    By.CONTAINER: lambda who: ((who.engine, who.container_id), container_label(who)),
    By.USER: lambda who: (who.uid, who.user or "(unknown)"),
    By.COMMAND: lambda who: (who.name, who.name),
    By.EXECUTABLE: lambda who: (who.executable, who.executable or "(unreadable)"),
}


def group(processes: Iterable[ProcessKsm], by: By) -> list[Group]:
    """In the order in which they are first seen."""
    found: dict[object, tuple[str, list[ProcessKsm]]] = {}
    for process in processes:
        key, name = KEYS[by](process.identity)
        found.setdefault(key, (name, []))[1].append(process)
    return [Group(key, name, tuple(members)) for key, (name, members) in found.items()]


def matching(processes: Iterable[ProcessKsm], text: str) -> list[ProcessKsm]:
    """Those that have the text in what they are called by, in small or capital letters."""
    wanted = text.casefold()
    return [process for process in processes if wanted in _words(process.identity).casefold()]


def _words(who: Identity) -> str:
    words = (who.pid, who.command, who.user, who.unit, container_label(who), who.executable)
    return "\n".join(str(word) for word in words if word)


def container_label(who: Identity) -> str:
    """Its name, and whose it is."""
    if who.container is None:
        return "(no container)"
    return f"{who.container} ({who.engine})" if who.engine else who.container


def sort_groups(groups: Iterable[Group], sort: Sort) -> list[Group]:
    """What is not known comes last; equal ones keep their order."""
    figures: dict[Sort, Callable[[Group], int | None]] = {
        Sort.PROCESSES: lambda group: len(group.processes),
        Sort.MERGED: lambda group: group.merging_pages,
        Sort.ZERO: lambda group: group.zero_pages,
        Sort.PROFIT: lambda group: group.profit_bytes,
        Sort.RSS: lambda group: group.rss_bytes,
        Sort.PSS: lambda group: group.pss_bytes,
        # The most maps leave the least headroom.
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
    """PIDs as numbers."""
    return (int(name), "") if name.isascii() and name.isdigit() else (0, name)


def _sum(figures: Iterable[int | None]) -> int | None:
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known else None
