"""Running monitor, and programs for it to watch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from waiting import LAST_RESORT_SECONDS, wait_until

# With a reserve of half the limit, half of it is near enough.
MANY_MAPS = """
import ctypes, mmap, sys, time
libc = ctypes.CDLL(None, use_errno=True)
pages = int(sys.argv[1])
memory = mmap.mmap(-1, pages * 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
for page in range(0, pages, 2):
    assert libc.mprotect(ctypes.c_void_p(start + page * 4096), 4096, 1) == 0
print("ready", flush=True)
time.sleep(1000)
"""
EQUAL = """
import mmap, os, sys, time
size = int(sys.argv[1]) << 20
memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
block = (b"equal" * 1000)[:4096] if sys.argv[2] == "equal" else None
for at in range(0, size, 4096):
    memory[at:at + 4096] = block or os.urandom(4096)
print("ready", flush=True)
if sys.stdin.readline():
    while True:
        for at in range(0, size, 4096):
            memory[at] = (memory[at] + 1) % 256
time.sleep(1000)
"""


class Monitor:
    """Running monitor whose log lines are kept as they arrive."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self.log = process, log

    def lines(self) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for line in self.log.read_text().splitlines(keepends=True)
            if line.endswith("\n") and line.startswith("{")
        ]

    def seen(self, **facts: str) -> dict[str, Any] | None:
        return next((line for line in self.lines() if facts.items() <= line.items()), None)

    def wait_for(self, **facts: str) -> dict[str, Any]:
        wait_until(lambda: self.seen(**facts) is not None)
        found = self.seen(**facts)
        assert found is not None
        return found


Begin = Callable[..., Monitor]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def monitor(ksmrun: str, tmp_path: Path) -> Iterator[Begin]:
    running: list[Monitor] = []

    def begin(*options: str, prefix: Sequence[str] = (), **environment: str) -> Monitor:
        log = tmp_path / f"monitor-{len(running)}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [*prefix, ksmrun, "monitor", "--interval=0.3", "--log=json", *options],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                text=True,
            )
        running.append(Monitor(process, log))
        return running[-1]

    yield begin
    for each in running:
        each.process.send_signal(signal.SIGTERM)
    codes = [each.process.wait(timeout=LAST_RESORT_SECONDS) for each in running]
    # Unless the test has killed it.
    assert set(codes) <= {0, -signal.SIGKILL}, [each.log.read_text() for each in running]


@pytest.fixture
def start(launcher: str) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a Python program that merges."""
    running = []

    def begin(code: str, *arguments: object) -> subprocess.Popen[bytes]:
        line = [launcher, "--", sys.executable, "-c", code, *map(str, arguments)]
        process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        return process

    yield begin
    for each in running:
        with each:
            each.kill()


@pytest.fixture
def limit_put_back(ksmrun: str, tmp_path: Path) -> Iterator[None]:
    """Restore the limit once the test's monitor, which would raise it again, has ended."""
    before = Path("/proc/sys/vm/max_map_count").read_text()
    yield
    if (tmp_path / "state/host.json").exists():
        subprocess.run(
            [ksmrun, "host", "restore", "--force"],
            env={**os.environ, "KSMRUN_STATE_DIR": str(tmp_path / "state")},
            check=True,
            stdout=subprocess.DEVNULL,
        )
    assert Path("/proc/sys/vm/max_map_count").read_text() == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def scrape(number: int) -> str:
    with urllib.request.urlopen(
        f"http://127.0.0.1:{number}/metrics", timeout=LAST_RESORT_SECONDS
    ) as answer:
        return str(answer.read().decode())


def scrape_file(folder: Path) -> str:
    """Return what --textfile wrote; empty before that."""
    file = folder / "ksmrun.prom"
    return file.read_text() if file.exists() else ""


def shows(number: int, line: str) -> bool:
    try:
        return line in scrape(number)
    except OSError:
        return False


def refused(ksmrun: str, *options: str) -> str:
    done = subprocess.run(
        [ksmrun, "monitor", *options], capture_output=True, text=True, timeout=LAST_RESORT_SECONDS
    )
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr, done.stderr
    assert "; " in done.stderr
    return done.stderr


def waits_for_signals(pid: int) -> bool:
    """Before that, SIGHUP would end it."""
    blocked = Path(f"/proc/{pid}/status").read_text().split("SigBlk:")[1].split()[0]
    return bool(int(blocked, 16) >> (signal.SIGHUP - 1) & 1)
