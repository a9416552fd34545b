"""Processes below others, and ksmd's CPU time: what every sample needs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ksmrun.facts.ksmd import find_ksmd
from ksmrun.facts.stat import read_stat
from ksmrun.support.foreign import raise_shortage


def known_sum(values: Iterable[int | None]) -> int | None:
    """Return the sum; None if one of the values is not known."""
    known = list(values)
    found = [value for value in known if value is not None]
    return sum(found) if len(found) == len(known) else None


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
    except OSError as error:
        raise_shortage(error)
    # Imported here: it takes longer than most commands, and few kernels need it.
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return None


def ksmd_cpu_seconds() -> float | None:
    """Return ksmd's CPU time since boot; None in a PID namespace that hides it."""
    ksmd = find_ksmd()
    return None if ksmd is None else cpu_seconds(ksmd)


def cpu_seconds(pid: int) -> float:
    """Return user and system time so far. Raises OSError."""
    return read_stat(Path(f"/proc/{pid}")).cpu_ticks / os.sysconf("SC_CLK_TCK")


def waited_seconds(pid: int) -> float | None:
    """Return the time a thread was ready to run without a CPU; None if not counted.

    Source: Documentation/scheduler/sched-stats.rst.
    """
    try:
        words = Path(f"/proc/{pid}/schedstat").read_text().split()
        return int(words[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
