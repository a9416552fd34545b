"""Give a test KSM and the map limit with their boot defaults, for itself alone.

A host has one KSM. A test that sets it, or that reads what others would change, holds the lock
meanwhile, also against other test runs on the machine.
"""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

KSM = Path("/sys/kernel/mm/ksm")
MAX_MAP_COUNT = "/proc/sys/vm/max_map_count"
LOCK = Path("/run/lock/ksmrun-tests-ksm")
# mm/ksm.c and include/linux/mm.h. A run that was killed together with its guardian may have left
# other values.
AT_BOOT = {
    "advisor_mode": "none",
    "run": "0",
    "pages_to_scan": "100",
    "sleep_millisecs": "20",
    "smart_scan": "1",
    "use_zero_pages": "0",
    MAX_MAP_COUNT: "65530",
}
# advisor_mode goes first: it resets pages_to_scan. Runs in the background, so that tests which wait
# for any child do not wait for it.
RESTORE = """
exec 3<&0
{
    read -r end
    flock 9
    for setting in "$@"; do
        [ "$(cat "${setting%%=*}")" = "${setting#*=}" ] ||
            echo "${setting#*=}" >"${setting%%=*}"
    done
    [ -z "$KSMD" ] || {
        chrt --other -p 0 "$KSMD"
        renice -n "$NICE" -p "$KSMD"
        taskset -p "$CPUS" "$KSMD"
    } >/dev/null
} <&3 3<&- 9>"$LOCK" 2>/dev/null &
"""


def tunables() -> dict[str, str]:
    """Return the settings of KSM, read without the product's help."""
    files = [file for file in sorted(KSM.iterdir()) if file.stat().st_mode & stat.S_IWUSR]
    texts = {file.name: file.read_text().strip() for file in files}
    return {name: text.partition("[")[2].partition("]")[0] or text for name, text in texts.items()}


def ksmd_pid() -> int:
    """Return the PID of the kernel's thread: a child of kthreadd, PID 2."""
    processes = psutil.process_iter(["name", "ppid"])
    (pid,) = (each.pid for each in processes if each.info == {"name": "ksmd", "ppid": 2})
    return pid


def _ksmd() -> dict[str, str]:
    """Return PID, nice value and mask of CPUs of the thread, for RESTORE; empty if not seen."""
    found = {"KSMD": "", "NICE": "", "CPUS": ""}
    with suppress(ValueError):
        pid = ksmd_pid()
        mask = sum(1 << cpu for cpu in os.sched_getaffinity(pid))
        nice = os.getpriority(os.PRIO_PROCESS, pid)
        found = {"KSMD": str(pid), "NICE": str(nice), "CPUS": f"{mask:x}"}
    return found


@contextmanager
def alone() -> Iterator[None]:
    """Hold the host's KSM, starting from the boot defaults."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = _settings()
        for name, value in AT_BOOT.items():
            if found.get(name, value) != value:
                (KSM / name).write_text(value)
        yield


@contextmanager
def put_back() -> Iterator[None]:
    """Restore the host's own settings when the tests end, also if they are killed."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        names = sorted(_settings().items(), key=lambda pair: pair[0] != "advisor_mode")
    guardian = subprocess.Popen(
        ["sh", "-c", RESTORE, "guardian", *(f"{name}={value}" for name, value in names)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "LOCK": str(LOCK)} | _ksmd(),
        cwd=KSM if KSM.is_dir() else None,
        start_new_session=True,
    )
    guardian.wait()
    assert guardian.stdin is not None and guardian.stdout is not None
    try:
        yield
    finally:
        guardian.stdin.close()
        # It ends with the last process that has the pipe open.
        guardian.stdout.read()


def _settings() -> dict[str, str]:
    found = tunables() if KSM.is_dir() else {}
    found[MAX_MAP_COUNT] = Path(MAX_MAP_COUNT).read_text().strip()
    return found
