"""What a record can name: files of the kernel, and properties of the thread ksmd."""

from __future__ import annotations

import os
from pathlib import Path

from ksmrun.facts.ksmd import (
    POLICIES,
    cpu_list,
    find_ksmd,
    online_cpus,
    parse_cpus,
    read_cpus,
    read_policy,
)
from ksmrun.facts.text import bracketed, parse_int, read_text
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.support.safefile import overwrite
from ksmrun.support.words import shortened

# ksmd/cpus and so on: they look like files, but are set by system calls.
KSMD = "ksmd/"
CPUS, NICE, POLICY = "ksmd/cpus", "ksmd/nice", "ksmd/policy"
THREAD_NAMES = (CPUS, NICE, POLICY)
NICE_MIN, NICE_MAX = -20, 19
# What ksmd can be set to, and put back from, without more than a number.
SETTABLE = {POLICIES[each]: each for each in (os.SCHED_OTHER, os.SCHED_BATCH, os.SCHED_IDLE)}


def short_name(path: str) -> str:
    """Return the name by which `host set` knows what is at this path."""
    return path if path.startswith(KSMD) else Path(path).name


def present(root: Path, path: str) -> str | None:
    """Return the present value; None if it cannot be read."""
    if not path.startswith(KSMD):
        text = read_text(root / path)
        return None if text is None else bracketed(text) or text.strip()
    pid = find_ksmd()
    if pid is None:
        return None
    try:
        if path == NICE:
            return str(os.getpriority(os.PRIO_PROCESS, pid))
        return read_policy(pid) if path == POLICY else read_cpus(pid)
    except OSError:
        return None


def put(root: Path, path: str, value: str) -> None:
    """Set a value that was checked, or was there before. Raises OSError."""
    if not path.startswith(KSMD):
        # The kernel takes each write as one complete value.
        overwrite(root / path, value.encode())
        return
    pid = find_ksmd()
    if pid is None:
        raise ProcessLookupError("ksmd is not visible here")
    if path == NICE:
        os.setpriority(os.PRIO_PROCESS, pid, int(value))
    elif path == POLICY:
        os.sched_setscheduler(pid, SETTABLE[value], os.sched_param(0))
    else:
        os.sched_setaffinity(pid, parse_cpus(value) or ())


def checked(root: Path, name: str, wanted: str, before: str) -> str:
    """Return a value for the thread as it will be shown. Raises UsageError."""
    given = f"{name}={shortened(wanted)}"
    if name == NICE:
        number = parse_int(wanted.removeprefix("+"))
        if number is None or not NICE_MIN <= number <= NICE_MAX:
            raise UsageError(
                f"{given} is not a nice value", f"give one from {NICE_MIN} to {NICE_MAX}"
            )
        return str(number)
    if name == POLICY:
        if before not in SETTABLE:
            raise UsageError(
                f"ksmd runs with the real-time policy {before}, which somebody has given to it",
                "take that away first: chrt --other --pid 0 $(pgrep -x ksmd)",
            )
        if wanted not in SETTABLE:
            raise UsageError(f"{given} is not a policy", f"give {', '.join(SETTABLE)}")
        return wanted
    cpus, online = parse_cpus(wanted), online_cpus(root)
    if cpus is None:
        raise UsageError(f"{given} is not a list of CPUs", "give for example 6-7 or 0,2")
    if online is not None and not cpus <= online:
        raise UsageError(
            f"{given} names CPUs that are not online", f"give some of {cpu_list(online)}"
        )
    return cpu_list(cpus)


def refuse_fewer_cpus(root: Path, wanted: str, before: str) -> None:
    """Raise KsmrunError, and put the CPUs back, if the cpuset of ksmd's cgroup took some away."""
    found = present(root, CPUS)
    if found == wanted:
        return
    put(root, CPUS, before)
    raise KsmrunError(
        f"of the CPUs {wanted} ksmd may use only {found}, by the cpuset of its cgroup",
        "give some of those, or move ksmd: see /proc/$(pgrep -x ksmd)/cgroup",
    )
