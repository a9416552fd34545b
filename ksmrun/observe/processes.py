"""All merge-enabled processes that this user may read, once or repeatedly."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

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
from ksmrun.facts.stat import Stat, read_program, read_stat
from ksmrun.model.errors import KsmrunError
from ksmrun.model.ksm import HostFacts
from ksmrun.model.process import Identity, ProcessKsm, ProcessList, Sweeper
from ksmrun.support.foreign import raise_shortage

# Share of one core, for repeated scans.
CPU_SHARE_MAX = 0.02
WHOLE_SECONDS_MIN = 5.0
# RSS bound of a pause container, which does nothing: a larger process only has that name.
PAUSE_RSS_MAX = 4 << 20


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
                process = process or read_process(pid, costly=whole)
            except PermissionError:
                self._others.add(pid)
                if not _is_kernel_thread(pid):
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
    return process.identity.is_pause and (process.rss_bytes or 0) <= PAUSE_RSS_MAX


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
        image = read_program(folder).image
        ksm_stat = read_ksm_stat(folder)
        sweeper = read_sweeper(folder)
        enabled_by = enabling(folder, ksm_stat, sweeper)
        if enabled_by is None:
            return None
        return ProcessKsm(
            identity=read_identity(folder, pid),
            enabled_by=enabled_by,
            merging_pages=ksm_stat.merging_pages,
            zero_pages=ksm_stat.zero_pages,
            rmap_items=ksm_stat.rmap_items,
            profit_bytes=ksm_stat.profit_bytes,
            rss_bytes=read_rss(folder),
            pss_bytes=allowed(lambda: read_memory(folder).pss_bytes) if costly else None,
            maps=allowed(lambda: count_maps(folder)) if costly else None,
            sweeper=sweeper,
            image=image,
        )


def read_again(before: ProcessKsm) -> ProcessKsm | None:
    """Return its present counters; None for another process or program, or a lost flag."""
    with pinned(before.pid) as folder:
        if not is_as_before(read_program(folder), before.identity, before.image):
            return None
        ksm_stat = read_ksm_stat(folder)
        # A zombie's file is empty.
        is_gone = ksm_stat.rmap_items is None
        if is_gone or still_enabling(before.enabled_by, ksm_stat) is None:
            return None
        return replace(
            before,
            merging_pages=ksm_stat.merging_pages,
            zero_pages=ksm_stat.zero_pages,
            rmap_items=ksm_stat.rmap_items,
            profit_bytes=ksm_stat.profit_bytes,
            rss_bytes=read_rss(folder),
        )


def is_as_before(stat: Stat, who: Identity, image: tuple[int, ...]) -> bool:
    """Return whether the process still runs the same program; stat: of read_program().

    An exec keeps PID and start time; start scripts end in one.
    """
    return (stat.start_ticks, stat.name, stat.image) == (who.start_ticks, who.name, image)


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


def allowed(look: Callable[[], int | None]) -> int | None:
    """Return the result, or None if this user may not read it.

    Another user's maps need more permission than its other files.
    """
    try:
        return look()
    except PermissionError:
        return None


def _is_kernel_thread(pid: int) -> bool:
    """Return whether it is a kernel thread, which has no memory of its own.

    Also for a process that has ended and is therefore unreadable.
    """
    try:
        with pinned(pid) as folder:
            return read_stat(folder).is_kernel_thread
    except OSError as error:
        raise_shortage(error)
        return True
