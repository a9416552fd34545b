"""Observe one process for some seconds: its memory, what ksmd did with it, and what changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ksmrun.facts.host import read_host
from ksmrun.facts.identity import pinned, read_identity
from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.pages import read_pages, sample_addresses
from ksmrun.facts.process import read_ksm_stat, read_sweeper
from ksmrun.facts.smaps import Vma, by_kind, read_vmas
from ksmrun.facts.stat import has_living_thread, memory_folder, read_stat
from ksmrun.model.errors import KsmrunError
from ksmrun.model.explain import Counters, ProcessLook, Sampled
from ksmrun.observe.processes import enabling, require_counters

SAMPLED_PAGES = 1000
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def look_at_process(pid: int, seconds: float) -> ProcessLook:
    """Return the observation.

    Raises KsmrunError if the process is missing, ends or has no memory.
    """
    require_counters()
    try:
        with pinned(pid) as folder:
            return _look(folder, pid, seconds)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise KsmrunError(
            f"there is no process {pid}, or it has just ended",
            "list processes with `ps -e`, or those that merge with `sudo ksmrun ps`",
        ) from error


def _look(folder: Path, pid: int, seconds: float) -> ProcessLook:
    stat = read_stat(folder)
    if stat.is_kernel_thread or not has_living_thread(folder):
        what = (
            "is a kernel thread" if stat.is_kernel_thread else "has ended, and waits for its parent"
        )
        raise KsmrunError(
            f"PID {pid} ({stat.name}) {what}: it has no memory of its own", "give another PID"
        )
    identity, host = read_identity(folder, pid), read_host(ROOT)
    enabled_by, kinds, before, after, sampled = None, {}, None, None, None
    try:
        before = _counters(folder)
        enabled_by = enabling(folder, read_ksm_stat(folder), read_sweeper(folder))
        vmas = list(read_vmas(folder))
        # For madvise (and the flag before 6.14) the marked mappings show it.
        enabled_by = enabled_by or ("madvise" if any(vma.is_marked for vma in vmas) else None)
        kinds = by_kind(vmas)
        sampled = _sample(memory_folder(folder), [vma for vma in vmas if vma.is_marked], seconds)
        after = _counters(folder)
    except PermissionError:
        # The files with its counters are readable by its owner (mode 0400) and root only.
        before = None
    return ProcessLook(
        identity=identity,
        age_seconds=time.clock_gettime(time.CLOCK_BOOTTIME) - stat.start_ticks / CLOCK_TICKS,
        seconds=seconds,
        enabled_by=enabled_by,
        kinds=kinds,
        before=before,
        after=after,
        sampled=sampled,
        ksm=host.ksm,
        numa_nodes=host.numa_nodes,
        max_map_count=host.max_map_count,
    )


def _counters(folder: Path) -> Counters:
    found = read_ksm_stat(folder)
    # A zombie's file is empty.
    if found.rmap_items is None:
        raise ProcessLookupError
    return Counters(
        found.merging_pages,
        found.zero_pages,
        found.rmap_items,
        found.profit_bytes,
        read_ksm(ROOT),
    )


def _sample(folder: Path, vmas: list[Vma], seconds: float) -> Sampled | None:
    """Read sampled pages twice, this long apart; None if its memory is forbidden (ptrace(2))."""
    try:
        addresses = sample_addresses(folder, vmas, SAMPLED_PAGES)
        before = read_pages(folder, addresses)
    except PermissionError:
        time.sleep(seconds)
        return None
    time.sleep(seconds)
    after = read_pages(folder, addresses)
    kept = [address for address in before if address in after]
    changed = sum(before[address] != after[address] for address in kept)
    return Sampled(len(kept), changed)
