"""One quick look at all processes that merge, and at ksmd meanwhile, for `ksmrun status`."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from ksmrun.facts.identity import pinned
from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.ksmd import find_ksmd, read_scheduling
from ksmrun.facts.maps import count_maps
from ksmrun.facts.memory_groups import memory_path
from ksmrun.facts.pages import PAGE_BYTES
from ksmrun.facts.pids import all_pids
from ksmrun.facts.placement import placement
from ksmrun.facts.process import read_ksm_stat, read_rss
from ksmrun.facts.stat import read_stat
from ksmrun.facts.text import parse_int, read_or_raise
from ksmrun.model.status import Ksmd, Merging
from ksmrun.support.foreign import raise_shortage
from ksmrun.support.unitname import has_cgroup

# For counting VMAs: the largest programs first, as they probably have the most.
COUNTING_SECONDS_MAX = 0.05
# A batch of ksmd and its sleep are shorter at the kernel's defaults.
LOOK_SECONDS_MIN = 0.06


@dataclass
class Look:
    """Result. merged_bytes: by cgroup. idle: (PID, name) in these units that do not merge."""

    merging: tuple[Merging, ...] = ()
    merged_bytes: dict[str, int] = field(default_factory=dict)
    idle: list[tuple[int, str]] = field(default_factory=list)
    unreadable: int = 0


class KsmdWatch:
    """ksmd from the beginning of a look to its end."""

    def __init__(self) -> None:
        self._pid = find_ksmd()
        self._before = self._read()

    def result(self) -> Ksmd | None:
        """Return what it did meanwhile, after LOOK_SECONDS_MIN at least; None if not visible."""
        before = self._before
        if self._pid is None or before[1] is None:
            return None
        if read_ksm(ROOT).run == 1:
            time.sleep(max(0.0, LOOK_SECONDS_MIN - (time.monotonic() - before[0])))
        after = self._read()
        if after[1] is None:
            return None
        seconds = after[0] - before[0]
        pages = None
        if before[3] is not None and after[3] is not None:
            pages = after[3] - before[3]
        waited = ((after[2] or 0) - (before[2] or 0)) / 1e9 / seconds
        used = (after[1] - before[1]) / 1e9 / seconds
        return Ksmd(seconds, used, waited, pages, read_scheduling(self._pid, ROOT))

    def _read(self) -> tuple[float, int | None, int | None, int | None]:
        """Return the time, ns used and waited (sched-stats.rst), and pages scanned."""
        words = (read_or_raise(Path(f"/proc/{self._pid}/schedstat")) or "").split()
        numbers = [*map(parse_int, words), None, None]
        return time.monotonic(), numbers[0], numbers[1], read_ksm(ROOT).pages_scanned


def look_at_merging(units: Collection[str]) -> Look:
    """Look at all processes. units: services whose processes should merge."""
    look = Look()
    found: list[tuple[int, Merging]] = []
    for pid in all_pids():
        try:
            _look_at(pid, look, found, units)
        except OSError as error:
            # What ended meanwhile counts as nothing.
            raise_shortage(error)
    look.merging = _counted(found)
    return look


def _look_at(
    pid: int, look: Look, found: list[tuple[int, Merging]], units: Collection[str]
) -> None:
    with pinned(pid) as folder:
        try:
            ksm_stat = read_ksm_stat(folder)
        except PermissionError:
            if not read_stat(folder).is_kernel_thread:
                look.unreadable += 1
            return
        # Before 6.14 a flag shows only once the process is scanned.
        idle = ksm_stat.enabled_by is None and ksm_stat.merge_any is not None
        if idle and units and is_of(units, folder):
            stat = read_stat(folder)
            if not stat.is_kernel_thread and stat.state not in "ZX":
                look.idle.append((pid, stat.name))
        if ksm_stat.enabled_by is None or ksm_stat.rmap_items is None:
            return
        pages = (ksm_stat.merging_pages or 0) + (ksm_stat.zero_pages or 0)
        merged = max(pages, 0) * PAGE_BYTES
        found.append((read_rss(folder) or 0, Merging(pid, read_stat(folder).name, merged, None)))
        path = memory_path(read_or_raise(folder / "cgroup") or "")
        look.merged_bytes[path] = look.merged_bytes.get(path, 0) + merged


def is_of(units: Collection[str], folder: Path) -> bool:
    """Return whether the process of this /proc folder is in one of the system's units."""
    unit = placement(read_or_raise(folder / "cgroup") or "").unit
    return unit is not None and any(has_cgroup(name, unit) for name in units)


def _counted(found: list[tuple[int, Merging]]) -> tuple[Merging, ...]:
    deadline = time.monotonic() + COUNTING_SECONDS_MAX
    counted: list[Merging] = []
    for _, each in sorted(found, key=lambda pair: -pair[0]):
        maps = None
        if not counted or time.monotonic() < deadline:
            try:
                maps = count_maps(Path(f"/proc/{each.pid}"))
            except OSError as error:
                raise_shortage(error)
        counted.append(replace(each, maps=maps))
    return tuple(counted)
