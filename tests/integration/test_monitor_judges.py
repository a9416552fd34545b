"""Conclusions of the monitor about changes to programs by their users, and by themselves."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from waiting import wait_until

from ksmrun.attach.gradually import detach_all
from ksmrun.model.watch import Watched
from ksmrun.watch.config import Config
from ksmrun.watch.scanner import Scanner

from .support.monitors import Begin, Start, monitor, scrape_file, start

__all__ = ["monitor", "start"]

# Clears its flag at the first line, and has many VMAs from the second one on.
LOSES = """
import ctypes, sys, time
print("ready", flush=True)
sys.stdin.readline()
assert ctypes.CDLL(None).prctl(67, 0, 0, 0, 0) == 0
time.sleep(1000)
"""
LEAPS = """
import ctypes, mmap, sys, time
print("ready", flush=True)
sys.stdin.readline()
libc = ctypes.CDLL(None)
memory = mmap.mmap(-1, 60_000 * 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
for page in range(0, 60_000, 2):
    assert libc.mprotect(ctypes.c_void_p(start + page * 4096), 4096, 1) == 0
print("leapt", flush=True)
time.sleep(1000)
"""


def tell(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()


@pytest.mark.own_pids
@pytest.mark.parametrize("gradually", [False, True])
def test_a_flag_that_was_taken_is_not_lost(
    monitor: Begin,
    start: Start,
    ksmrun: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gradually: bool,
) -> None:
    detached, loses = start(LOSES), start(LOSES)
    state = {"KSMRUN_STATE_DIR": str(tmp_path / "state")}
    begun = monitor(f"--textfile={tmp_path}", "--by-pid", **state)
    for process in (detached, loses):
        wait_until(lambda pid=process.pid: f'pid="{pid}"' in scrape_file(tmp_path))  # type: ignore[misc]
    if gradually:
        # It affects all processes of this PID namespace, so the other one has lost its flag before.
        tell(loses)
        begun.wait_for(kind="flag-lost", pid=str(loses.pid))
        # The rest of `ksmrun host unmerge --gradually` concerns the host's KSM.
        monkeypatch.setenv("KSMRUN_STATE_DIR", state["KSMRUN_STATE_DIR"])
        assert any("MiB unmerged" in line for line in detach_all(force=True))
    else:
        line = [ksmrun, "detach", str(detached.pid)]
        # On a busy machine it may not stop in time, and is left alone: it is tried again.
        wait_until(
            lambda: subprocess.run(line, env={**os.environ, **state}, check=False).returncode == 0,
            "it is detached",
        )
    wait_until(lambda: f'pid="{detached.pid}"' not in scrape_file(tmp_path))
    if not gradually:
        tell(loses)
        begun.wait_for(kind="flag-lost", pid=str(loses.pid))
    assert begun.seen(kind="flag-lost", pid=str(detached.pid)) is None


# Programs of other tests that are near the map limit would be counted first, and use up the budget.
@pytest.mark.own_pids
def test_maps_are_counted_where_there_is_time(start: Start) -> None:
    """However few there were: the next sample sees a leap, and does not take it for a trend."""
    process = start(LEAPS)
    scanner = Scanner(Config())
    try:
        assert maps_of(scanner, process.pid) < 1000
        tell(process)
        assert process.stdout is not None and process.stdout.readline() == b"leapt\n"
        wait_until(lambda: maps_of(scanner, process.pid) >= 60_000)
        assert trend_of(scanner, process.pid) == 0
    finally:
        scanner.close()


def watched(scanner: Scanner, pid: int) -> Watched:
    return next(each for each in scanner.sample().processes if each.identity.pid == pid)


def maps_of(scanner: Scanner, pid: int) -> int:
    return watched(scanner, pid).maps or 0


def trend_of(scanner: Scanner, pid: int) -> float:
    count = watched(scanner, pid).count
    return 0.0 if count is None else count.per_second


def test_what_ksmd_waits_for_is_counted() -> None:
    scanner = Scanner(Config())
    try:
        waited = scanner.sample().host.ksmd_waited_seconds
    finally:
        scanner.close()
    shown = re.search(r"\d+ (\d+) \d+", Path("/proc/self/schedstat").read_text())
    assert shown is not None and waited is not None and waited >= 0
