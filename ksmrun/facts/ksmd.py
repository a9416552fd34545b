"""The kernel thread ksmd: its PID, CPUs, nice value and scheduling policy."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from ksmrun.facts.pids import all_pids
from ksmrun.facts.stat import read_stat
from ksmrun.facts.text import parse_fields, read_text
from ksmrun.model.ksm import Scheduling
from ksmrun.support.foreign import raise_shortage

# Number of CPUs of the largest kernel (CONFIG_NR_CPUS).
CPUS_MAX = 8192
POLICIES = {
    os.SCHED_OTHER: "normal",
    os.SCHED_BATCH: "batch",
    os.SCHED_IDLE: "idle",
    os.SCHED_FIFO: "fifo",
    os.SCHED_RR: "rr",
}


def find_ksmd() -> int | None:
    """Search all processes for ksmd, and return its PID; None also without /proc."""
    for pid in all_pids():
        try:
            found = read_stat(Path(f"/proc/{pid}"))
            # Kernel threads are children of kthreadd, PID 2: no user program can pose as ksmd.
            if found.is_kernel_thread and (found.name, found.parent) == ("ksmd", 2):
                return pid
        except OSError as error:
            raise_shortage(error)
    return None


def read_cpus(pid: int) -> str | None:
    """Return the CPUs that a thread may use, as the kernel lists them; None if it has ended.

    Not by sched_getaffinity(2), which leaves out those that are offline.
    """
    text = read_text(Path(f"/proc/{pid}/status"))
    return None if text is None else parse_fields(text).get("Cpus_allowed_list")


def read_scheduling(pid: int | None, root: Path) -> Scheduling | None:
    """Return where and when ksmd may run; None if it is not visible."""
    if pid is None:
        return None
    try:
        nice, policy = os.getpriority(os.PRIO_PROCESS, pid), read_policy(pid)
    except OSError as error:
        raise_shortage(error)
        return None
    listed, online = read_cpus(pid), online_cpus(root)
    allowed = None if listed is None else parse_cpus(listed)
    is_bound = allowed is not None and online is not None and not online <= allowed
    return Scheduling(listed if is_bound else None, nice, policy)


def online_cpus(root: Path) -> frozenset[int] | None:
    """Return the CPUs that are online; None if /sys does not show them."""
    return parse_cpus((read_text(root / "sys/devices/system/cpu/online") or "").strip())


def parse_cpus(text: str) -> frozenset[int] | None:
    """Return the CPUs of a list like "0,2-3" (cpuset(7), "List format"); None if it is none."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not all(word.isascii() and word.isdigit() for word in (first, last or "0")):
            return None
        if (dash and not last) or len(first) > 5 or len(last) > 5:
            return None
        low, high = int(first), int(last or first)
        if not low <= high < CPUS_MAX:
            return None
        found.update(range(low, high + 1))
    return frozenset(found)


def cpu_list(cpus: Iterable[int]) -> str:
    """Return the list as the kernel writes it."""
    numbers = sorted(cpus)
    breaks = [place for place, (a, b) in enumerate(pairwise(numbers), 1) if b != a + 1]
    runs = [numbers[a:b] for a, b in pairwise([0, *breaks, len(numbers)])]
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs if run)


def read_policy(pid: int) -> str:
    """Return the scheduling policy of a thread (sched(7)). Raises OSError."""
    policy = os.sched_getscheduler(pid) & ~os.SCHED_RESET_ON_FORK
    return POLICIES.get(policy, "deadline")
