"""Scan the host repeatedly, each part as often as its cost allows."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ksmrun.facts.maps import count_maps, running_key
from ksmrun.facts.memory_groups import memory_groups, memory_path
from ksmrun.facts.pids import all_pids
from ksmrun.facts.process import parse_ksm_stat, read_anonymous, read_memory
from ksmrun.facts.reread import Raw, merges_not, read_anonymous_bytes, read_raw
from ksmrun.facts.text import read_text
from ksmrun.host.attach_state import was_detached
from ksmrun.model.memory_group import GroupState
from ksmrun.model.watch import HostState, Watched, WatchState
from ksmrun.observe.processes import counted_again, identified, is_as_before, with_counters
from ksmrun.plan.guard import allowed_maps
from ksmrun.support.foreign import SHORTAGES
from ksmrun.watch.budget import Budget
from ksmrun.watch.config import Config
from ksmrun.watch.host import HostReader
from ksmrun.watch.schedule import counted, next_count_seconds

# A process that does not merge may begin to, by attaching or an exec.
LOOK_AGAIN_SECONDS = 60.0
# Share of one core, for the expensive reads.
MAPS_SHARE_MAX, PSS_SHARE_MAX = 0.0005, 0.0008
# File descriptors for everything except the processes.
DESCRIPTORS_KEPT = 32


@dataclass
class _Known:
    """Merging process. Its /proc folder is held open, so that it stays this very process.

    read_at: when watched was read. raw: as then; None: not read again yet. counted_bytes: size of
    its address space when its VMAs were counted.
    """

    descriptor: int
    watched: Watched
    memory_path: str
    read_at: float
    next_maps: float
    next_pss: float
    raw: Raw | None = None
    counted_bytes: int | None = None

    @property
    def folder(self) -> Path:
        return Path(f"/proc/self/fd/{self.descriptor}")

    @property
    def counted_at(self) -> float:
        count = self.watched.count
        return 0.0 if count is None else count.seconds

    @property
    def virtual_bytes(self) -> int | None:
        return None if self.raw is None else self.raw.virtual_bytes

    def counting_order(self, now: float) -> tuple[bool, bool, float]:
        """Sort what is due first, then what has changed its address space since, then the oldest.

        A program that maps more grows, but for one that splits its mappings.
        """
        is_the_same = self.virtual_bytes == self.counted_bytes
        return now < self.next_maps, is_the_same, self.counted_at

    def is_detached(self) -> bool:
        """Return whether `ksmrun detach` or `host unmerge --gradually` cleared its flag."""
        who = self.watched.identity
        return was_detached(who.pid, who.start_ticks)


class Scanner:
    """Scanner that keeps what it knows between samples; close() releases the /proc folders."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._known: dict[int, _Known] = {}
        self._others: dict[int, float] = {}
        self._unreadable: set[int] = set()
        self._host = HostReader()
        self._maps_budget, self._pss_budget = Budget(MAPS_SHARE_MAX), Budget(PSS_SHARE_MAX)
        # One descriptor per merging process.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self._known_max = max(most - DESCRIPTORS_KEPT, 1)

    def sample(self) -> WatchState:
        """Return the present state."""
        host = self._host.read()
        self._find(host)
        self._look(host)
        processes = tuple(known.watched for known in self._known.values())
        return WatchState(
            host=host,
            processes=processes,
            groups=self._groups(host.ksm.page_bytes),
            unreadable=len(self._unreadable),
        )

    def close(self) -> None:
        """Release all processes."""
        for known in self._known.values():
            os.close(known.descriptor)
        self._known.clear()

    def _find(self, host: HostState) -> None:
        """Find new processes. A reused PID shows when its old process is read."""
        pids = all_pids()
        here = set(pids)
        self._others = {pid: due for pid, due in self._others.items() if pid in here}
        self._unreadable &= here
        for pid in pids:
            if pid in self._known or self._others.get(pid, 0.0) > host.seconds:
                continue
            try:
                # At first sight it is looked at closely, as the shim may not have marked anything.
                is_looked_at = pid in self._others and merges_not(pid)
                found = None if is_looked_at else self._open(pid, host)
            except PermissionError:
                self._unreadable.add(pid)
                found = None
            except OSError as error:
                # It ended; or descriptors ran out, and the next sample tries again.
                if error.errno in SHORTAGES:
                    self._unreadable.add(pid)
                continue
            else:
                self._unreadable.discard(pid)
            if found is not None and len(self._known) >= self._known_max:
                os.close(found.descriptor)
                self._unreadable.add(pid)
                found = None
            if found is None:
                self._others[pid] = host.seconds + LOOK_AGAIN_SECONDS
            else:
                self._others.pop(pid, None)
                self._known[pid] = found

    def _open(self, pid: int, host: HostState) -> _Known | None:
        """Open a process; None if it does not merge. Raises OSError."""
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        descriptor = os.open(f"/proc/{pid}", flags)
        known = None
        try:
            known = self._identified(pid, descriptor, host)
        finally:
            if known is None:
                os.close(descriptor)
        return known

    def _identified(
        self, pid: int, descriptor: int, host: HostState, before: Watched | None = None
    ) -> _Known | None:
        """Return the process as it is now; None if it never merged. Raises OSError."""
        folder = Path(f"/proc/self/fd/{descriptor}")
        found = identified(folder, pid, deep=self.config.deep, before=before)
        if found is None:
            return None
        program = found.identity.executable
        watched = Watched(
            **vars(found),
            program=None if program is None else running_key(folder, program),
            since_full_scans=host.ksm.full_scans,
        )
        group = memory_path(read_text(folder / "cgroup") or "")
        now = host.seconds
        return _Known(descriptor, watched, group, read_at=now, next_maps=now, next_pss=now)

    def _look(self, host: HostState) -> None:
        """Read the known processes, and forget those that have ended."""
        for pid, known in list(self._known.items()):
            try:
                known = self._known[pid] = self._read_again(pid, known, host)
                self._look_at(known, host)
                if known.watched.enabled_by is None and known.is_detached():
                    raise ProcessLookupError("it was detached, and merges no more")
            except OSError as error:
                # Without descriptors or memory its present state is unknown, so it is kept.
                if error.errno in SHORTAGES:
                    continue
                os.close(known.descriptor)
                del self._known[pid]
                self._others[pid] = host.seconds + LOOK_AGAIN_SECONDS
        self._count_within_budget(host)

    def _count_within_budget(self, host: HostState) -> None:
        """Count VMAs as far as the CPU budget goes, also before it is due.

        Most processes have few, and nothing shows beforehand which will have many.
        """
        if not host.max_map_count or not self._maps_budget.has():
            return
        order = sorted(self._known.values(), key=lambda each: each.counting_order(host.seconds))
        for known in order:
            if not self._maps_budget.has():
                return
            if known.counted_at >= host.seconds:
                continue
            with suppress(OSError):
                self._count_maps(known, host.seconds, host.max_map_count)

    def _read_again(self, pid: int, known: _Known, host: HostState) -> _Known:
        """Return the process as it is now. Raises OSError if it has ended."""
        if known.read_at < host.seconds:
            raw = read_raw(known.descriptor, known.raw, host.seconds)
            if raw is None or known.raw is None or raw.program != known.raw.program:
                known = self._same_program(pid, known, host)
                known.watched = counted_again(known.folder, known.watched)
            elif raw != known.raw:
                ksm_stat = parse_ksm_stat(raw.ksm_stat.decode("ascii", "replace"))
                known.watched = with_counters(known.watched, ksm_stat)
            known.raw, known.read_at = raw, host.seconds
        if self.config.tunes:
            anonymous = read_anonymous_bytes(known.descriptor) or read_anonymous(known.folder)
            if anonymous != known.watched.anonymous_bytes:
                known.watched = replace(known.watched, anonymous_bytes=anonymous)
        return known

    def _same_program(self, pid: int, known: _Known, host: HostState) -> _Known:
        """Return the process, identified again if it runs another program since an exec."""
        before = known.watched
        if is_as_before(known.folder, before):
            return known
        found = self._identified(pid, known.descriptor, host, before)
        assert found is not None, "it is known"
        if found.watched.image == before.image:
            # No exec, only a new name.
            found.watched = replace(
                found.watched,
                since_full_scans=before.since_full_scans,
                pss_bytes=before.pss_bytes,
                uss_bytes=before.uss_bytes,
                maps=before.maps,
                count=before.count,
            )
            found.next_maps, found.next_pss = known.next_maps, known.next_pss
        return found

    def _look_at(self, known: _Known, host: HostState) -> None:
        limit, count = host.max_map_count, known.watched.count
        # Near the limit it is counted whatever that costs.
        near = allowed_maps(limit or 0, self.config.map_reserve) / 2
        if limit and host.seconds >= known.next_maps and (count is None or count.maps >= near):
            self._count_maps(known, host.seconds, limit)
        if host.seconds >= known.next_pss and self._pss_budget.has():
            with self._pss_budget:
                memory = read_memory(known.folder)
            known.watched = replace(
                known.watched, pss_bytes=memory.pss_bytes, uss_bytes=memory.uss_bytes
            )
            known.next_pss = host.seconds + self.config.pss_interval_seconds
            known.memory_path = memory_path(read_text(known.folder / "cgroup") or "")

    def _count_maps(self, known: _Known, now: float, limit: int) -> None:
        before = known.watched.count
        with self._maps_budget:
            count = counted(before, count_maps(known.folder), now)
        if not is_as_before(known.folder, known.watched):
            # An exec came in between: the count belongs to another program.
            return
        known.watched = replace(known.watched, maps=count.maps, count=count)
        known.counted_bytes = known.virtual_bytes
        allowed = allowed_maps(limit, self.config.map_reserve)
        delay = next_count_seconds(count, allowed, self.config.interval_seconds)
        known.next_maps = now + delay

    def _groups(self, page_bytes: int) -> tuple[GroupState, ...]:
        merged: dict[str, int] = {}
        for known in self._known.values():
            pages = (known.watched.merging_pages or 0) + (known.watched.zero_pages or 0)
            path = known.memory_path
            merged[path] = merged.get(path, 0) + pages * page_bytes
        return memory_groups(merged)
