"""One sample of a fleet and its host."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from ksmrun.facts.identity import read_stat
from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.process import all_pids, read_memory
from ksmrun.model import Sample


def sample(pids: Sequence[int], started: float) -> Sample:
    """Return sums over these processes and their descendants. started: monotonic second 0.

    Reading smaps_rollup costs about 8.5 ms per GiB. A process that ended counts as nothing.
    """
    rss = pss = pss_anonymous = counted = 0
    for pid in with_children(pids):
        try:
            memory = read_memory(Path("/proc") / str(pid))
        except OSError:
            continue
        counted += 1
        rss += memory.rss_bytes or 0
        pss += memory.pss_bytes or 0
        pss_anonymous += memory.pss_anonymous_bytes or 0
    ksm = read_ksm(ROOT)
    return Sample(
        elapsed_seconds=time.monotonic() - started,
        processes=counted,
        rss_bytes=rss,
        pss_bytes=pss,
        pss_anonymous_bytes=pss_anonymous,
        mem_available_bytes=psutil.virtual_memory().available,
        pages_shared=ksm.number("pages_shared"),
        pages_sharing=ksm.number("pages_sharing"),
        zero_pages=ksm.number("ksm_zero_pages"),
        full_scans=ksm.number("full_scans"),
        ksmd_cpu_seconds=ksmd_cpu_seconds(),
    )


def with_children(pids: Sequence[int]) -> list[int]:
    """Return these processes and all their descendants, without those that are gone."""
    found, left = [], list(pids)
    while left:
        pid = left.pop(0)
        children = _children(pid)
        if children is not None:
            found.append(pid)
            left += children
    return found


def _children(pid: int) -> list[int] | None:
    """Return the children of a process; None if it is gone.

    The kernel's lists (CONFIG_PROC_CHILDREN) cost a hundredth of a scan of /proc.
    """
    try:
        lists = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
        return [int(word) for text in lists for word in text.split()]
    except OSError:
        pass
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return None


def ksmd_cpu_seconds() -> float | None:
    """Return ksmd's CPU time since boot; None in a PID namespace that hides it."""
    ksmd = find_ksmd()
    return None if ksmd is None else cpu_seconds(ksmd)


def find_ksmd() -> psutil.Process | None:
    """Search all processes for ksmd; None also without /proc."""
    for pid in all_pids():
        with suppress(OSError, psutil.Error):
            found = read_stat(Path(f"/proc/{pid}"))
            # Kernel threads are children of kthreadd, PID 2: no user program can pose as ksmd.
            if found.is_kernel_thread and (found.name, found.parent) == ("ksmd", 2):
                return psutil.Process(pid)
    return None


def cpu_seconds(process: psutil.Process) -> float:
    """Return user and system time so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def waited_seconds(pid: int) -> float | None:
    """Return the time a thread was ready to run without a CPU; None if not counted.

    Source: Documentation/scheduler/sched-stats.rst.
    """
    try:
        words = Path(f"/proc/{pid}/schedstat").read_text().split()
        return int(words[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
