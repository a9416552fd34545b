"""All merge-enabled processes that this user may read, once or repeatedly."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ksmrun.facts.identity import pinned, read_identity
from ksmrun.facts.maps import count_maps
from ksmrun.facts.pids import all_pids, require_proc
from ksmrun.facts.process import (
    KsmStat,
    has_marked_memory,
    read_ksm_stat,
    read_memory,
    read_rss,
    read_sweeper,
)
from ksmrun.facts.reread import cannot_merge
from ksmrun.facts.stat import read_program, read_stat
from ksmrun.model.errors import KsmrunError
from ksmrun.model.ksm import HostFacts
from ksmrun.model.process import ProcessKsm, ProcessList, Sweeper
from ksmrun.support.foreign import raise_shortage

Process = TypeVar("Process", bound=ProcessKsm)
Found = TypeVar("Found")
# Share of one core, for repeated scans.
CPU_SHARE_MAX = 0.02
WHOLE_SECONDS_MIN = 5.0
# Bound of a pause container's memory, which does nothing: a larger process only has that name.
PAUSE_BYTES_MAX = 4 << 20


class ProcessWatch:
    """Repeated list of merge-enabled processes, within CPU_SHARE_MAX of a core.

    Scans all of /proc, then reads only known and new processes until the CPU time of another
    complete scan fits the budget. What only a complete scan reads (PSS, maps) is kept from it.
    Raises KsmrunError if this kernel shows nothing.
    """

    def __init__(self) -> None:
        require_counters()
        self._known: dict[int, ProcessKsm] = {}
        self._others: set[int] = set()
        self._unreadable: set[int] = set()
        self._next_whole = 0.0
        self.pause_seconds = 0.0

    def look(self, host: HostFacts) -> ProcessList:
        """Return the present state. pause_seconds: minimum time to wait before the next call."""
        started, cpu_before = time.monotonic(), time.thread_time()
        whole = started >= self._next_whole
        self._look_at(all_pids(), whole=whole)
        cpu_seconds = time.thread_time() - cpu_before
        if whole:
            pause = max(WHOLE_SECONDS_MIN, 2 * cpu_seconds / CPU_SHARE_MAX)
            self._next_whole = started + pause
        else:
            self.pause_seconds = 2 * cpu_seconds / CPU_SHARE_MAX
        return ProcessList(
            processes=tuple(
                self._known[pid] for pid in sorted(self._known) if not is_pause(self._known[pid])
            ),
            unreadable=len(self._unreadable),
            hidepid=bool(host.hidepid),
            page_bytes=host.ksm.page_bytes,
            pages_shared=host.ksm.number("pages_shared"),
            pages_sharing=host.ksm.number("pages_sharing"),
            max_map_count=host.max_map_count,
        )

    def _look_at(self, pids: list[int], *, whole: bool) -> None:
        before, self._known = self._known, {}
        # The next complete scan detects a reused PID at the latest.
        self._others = set() if whole else self._others.intersection(pids)
        self._unreadable &= self._others
        for pid in pids:
            if pid in self._others:
                continue
            try:
                process = None if whole or pid not in before else read_again(before[pid])
                if process is None and not cannot_merge(pid):
                    process = read_process(pid, costly=whole)
            except PermissionError:
                self._others.add(pid)
                if not _has_ended(pid):
                    self._unreadable.add(pid)
            # ESRCH: it ended between two reads, or is a zombie without memory.
            except OSError as error:
                raise_shortage(error)
            else:
                if process is None:
                    self._others.add(pid)
                else:
                    self._known[pid] = process


def is_pause(process: ProcessKsm) -> bool:
    """Return whether this is a pod's pause container, of which every pod has one."""
    # The monitor reads no RSS.
    merged_bytes = (process.merging_pages or 0) * mmap.PAGESIZE
    used_bytes = max(process.rss_bytes or 0, process.pss_bytes or 0, merged_bytes)
    return process.identity.is_pause and used_bytes <= PAUSE_BYTES_MAX


def require_counters() -> None:
    """Raise KsmrunError if this kernel has no counters of processes."""
    require_proc()
    if not Path("/proc/self/ksm_stat").exists():
        raise KsmrunError(
            "/proc/PID/ksm_stat does not exist: the kernel is older than 6.1 or has no KSM",
            "see `ksmrun check`; the host's totals are in `ksmrun host show`",
        )


def read_process(pid: int, *, costly: bool = False) -> ProcessKsm | None:
    """Return one process; None if it does not merge. Raises OSError: ended or another user's.

    costly: also read what walks all its memory: PSS (8.5 ms per GiB) and maps (26 ms for 65,000).
    """
    with pinned(pid) as folder:
        found = identified(folder, pid)
        if found is None:
            return None
        memory = allowed(lambda: read_memory(folder)) if costly else None
        return replace(
            found,
            rss_bytes=read_rss(folder),
            pss_bytes=None if memory is None else memory.pss_bytes,
            uss_bytes=None if memory is None else memory.uss_bytes,
            maps=allowed(lambda: count_maps(folder)) if costly else None,
        )


def identified(
    folder: Path, pid: int, *, deep: bool = True, before: ProcessKsm | None = None
) -> ProcessKsm | None:
    """Return a process with what is cheap to read; None if it does not merge. Raises OSError.

    deep: see enabling(). before: as it was last seen, perhaps as another program; then it is
    returned even if it merges no more.
    """
    stat = read_program(folder)
    if before is None and stat.is_kernel_thread:
        return None
    ksm_stat = read_ksm_stat(folder)
    # The shim's is an additional thread.
    sweeper = None if stat.threads == 1 else read_sweeper(folder)
    enabled_by = enabling(folder, ksm_stat, sweeper, deep=deep)
    if before is not None and ksm_stat.merge_any is None:
        # Before 6.14 nothing shows it until ksmd or the shim arrives; an exec keeps the flag.
        enabled_by = enabled_by or before.enabled_by
    if before is None and enabled_by is None:
        return None
    return ProcessKsm(
        identity=read_identity(folder, pid, stat),
        enabled_by=enabled_by,
        merging_pages=ksm_stat.merging_pages,
        zero_pages=ksm_stat.zero_pages,
        rmap_items=ksm_stat.rmap_items,
        profit_bytes=ksm_stat.profit_bytes,
        sweeper=sweeper,
        image=stat.image,
    )


def read_again(before: ProcessKsm) -> ProcessKsm | None:
    """Return its present counters; None for another process or program, or a lost flag."""
    with pinned(before.pid) as folder:
        if not is_as_before(folder, before):
            return None
        found = counted_again(folder, before)
        return None if found.enabled_by is None else replace(found, rss_bytes=read_rss(folder))


def counted_again(folder: Path, before: Process) -> Process:
    """Return the same program with its present counters. Raises OSError if it ended."""
    ksm_stat = read_ksm_stat(folder)
    if ksm_stat.rmap_items is None:
        raise ProcessLookupError("a zombie has no memory, and an empty ksm_stat")
    return with_counters(before, ksm_stat)


def with_counters(before: Process, ksm_stat: KsmStat) -> Process:
    """Return the same program with these counters."""
    return replace(
        before,
        enabled_by=still_enabling(before.enabled_by, ksm_stat),
        merging_pages=ksm_stat.merging_pages,
        zero_pages=ksm_stat.zero_pages,
        rmap_items=ksm_stat.rmap_items,
        profit_bytes=ksm_stat.profit_bytes,
    )


def is_as_before(folder: Path, before: ProcessKsm) -> bool:
    """Return whether the process still runs the same program. Raises OSError if it ended.

    An exec keeps PID and start time; start scripts end in one.
    """
    stat, who = read_program(folder), before.identity
    return (stat.start_ticks, stat.name, stat.image) == (who.start_ticks, who.name, before.image)


def enabling(
    folder: Path, ksm_stat: KsmStat, sweeper: Sweeper | None, *, deep: bool = True
) -> str | None:
    """Return the mechanism: shim, prctl, madvise or (before 6.14) seen. Raises OSError.

    deep: before 6.14 also read smaps, as no counter shows a program that ksmd has not reached yet.
    """
    if sweeper is not None and sweeper.work == "mark":
        return "shim"
    if deep and ksm_stat.merge_any is None and ksm_stat.enabled_by is None:
        return "seen" if has_marked_memory(folder) else None
    return ksm_stat.enabled_by


def still_enabling(before: str | None, ksm_stat: KsmStat) -> str | None:
    """Return the mechanism by which the same program still merges; None if its flag is lost.

    Before 6.14 no flag is shown, and the shim's thread lasts as long as its program.
    """
    return before if ksm_stat.merge_any is None or before == "shim" else ksm_stat.enabled_by


def allowed(look: Callable[[], Found]) -> Found | None:
    """Return the result, or None if this user may not read it.

    Another user's maps need more permission than its other files.
    """
    try:
        return look()
    except PermissionError:
        return None


def _has_ended(pid: int) -> bool:
    """Return whether the process is gone, which is why it could not be read."""
    try:
        with pinned(pid) as folder:
            read_stat(folder)
    except OSError as error:
        raise_shortage(error)
        return True
    return False
