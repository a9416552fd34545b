"""Every merge-enabled process that this user may look at."""

from __future__ import annotations

import shlex
from pathlib import Path

import psutil

from ksmrun.facts.host import read_host
from ksmrun.facts.ksm import ROOT
from ksmrun.facts.process import has_marked_memory, read_ksm_stat, read_memory, read_sweeper
from ksmrun.model import KsmrunError, ProcessKsm, ProcessList


def list_processes() -> ProcessList:
    """One look at /proc. Processes that end meanwhile are left out, forbidden ones counted."""
    host = read_host(ROOT)
    if not Path("/proc/self/ksm_stat").exists():
        raise KsmrunError(
            "/proc/PID/ksm_stat is not there: a kernel before 6.1 or without KSM, or no /proc",
            "look at /sys/kernel/mm/ksm with `ksmrun host show`",
        )
    processes, unreadable = [], 0
    for pid in psutil.pids():
        try:
            process = read_process(pid)
        except PermissionError:
            unreadable += not _is_kernel_thread(pid)
        # ESRCH: it ended between two reads, or is a zombie without memory.
        except (OSError, psutil.Error):
            continue
        else:
            if process is not None:
                processes.append(process)
    return ProcessList(
        processes=tuple(processes),
        unreadable=unreadable,
        hidepid=bool(host.hidepid),
        page_bytes=host.ksm.page_bytes,
        pages_shared=host.ksm.number("pages_shared"),
        max_map_count=host.max_map_count,
    )


def read_process(pid: int) -> ProcessKsm | None:
    """One process; None where it does not merge. Raises OSError, psutil.Error."""
    folder = Path("/proc") / str(pid)
    ksm_stat = read_ksm_stat(folder)
    enabled_by = ksm_stat.enabled_by
    sweeper = read_sweeper(folder)
    if sweeper is not None and sweeper.work == "mark":
        enabled_by = "shim"
    # Before 6.14 no counter tells of a program that ksmd has not reached yet.
    if enabled_by is None and ksm_stat.merge_any is None and has_marked_memory(folder):
        enabled_by = "seen"
    if enabled_by is None:
        return None
    process = psutil.Process(pid)
    try:
        pss_bytes = read_memory(folder).pss_bytes
    except PermissionError:
        pss_bytes = None
    return ProcessKsm(
        pid=pid,
        command=shlex.join(process.cmdline()) or process.name(),
        enabled_by=enabled_by,
        merging_pages=ksm_stat.merging_pages,
        zero_pages=ksm_stat.zero_pages,
        profit_bytes=ksm_stat.profit_bytes,
        rss_bytes=process.memory_info().rss,
        pss_bytes=pss_bytes,
        sweeper=sweeper,
    )


def _is_kernel_thread(pid: int) -> bool:
    """They have no memory of their own; all are children of kthreadd, PID 2."""
    try:
        return pid == 2 or psutil.Process(pid).ppid() == 2
    except psutil.Error:
        return True
