"""Whatever becomes of a message on stderr, the program starts as it would without ksmrun."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS

# Each prints a message: the launcher, Python, and the front, where Python does not start.
SAYS = ["launcher", "Python", "front"]


@pytest.fixture
def way(request: pytest.FixtureRequest, launcher: str, ksmrun: str, tmp_path: Path) -> list[str]:
    (tmp_path / "libm.so.6").write_text("no library")
    broken = f"LD_LIBRARY_PATH={tmp_path}"
    return {
        "launcher": [launcher, "--layout=shared", "--layout-key=/nonexistent"],
        "Python": [ksmrun, "run", "--expect-maps=99999999"],
        "front": ["env", broken, ksmrun, "run", "--expect-maps=99999999"],
    }[request.param]


@pytest.mark.parametrize("way", SAYS, indirect=True)
def test_each_says_something(way: list[str]) -> None:
    done = subprocess.run([*way, "--", "true"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr.startswith("ksmrun"), done


@pytest.fixture
def full() -> Iterator[int]:
    """Return the writable end of a pipe that has no room, and whose reader does not read."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, bytes(4096))
    yield writing
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("way", SAYS, indirect=True)
def test_nobody_reads_it(way: list[str], full: int, tmp_path: Path) -> None:
    words = [*way, "--", "touch", str(tmp_path / "started")]
    assert subprocess.run(words, stderr=full, timeout=LAST_RESORT_SECONDS).returncode == 0
    assert (tmp_path / "started").exists()


@pytest.mark.parametrize("way", SAYS, indirect=True)
def test_a_background_job_of_stty_tostop(way: list[str]) -> None:
    """It is stopped by what it writes itself, as without ksmrun, but not by us."""
    leader, terminal = pty.fork()
    if leader == 0:
        _exit_with_a_background_job([*way, "--", "true"])
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 4096)
        except OSError:
            break
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(leader, 0)[1]) == 0, shown
    assert b"ksmrun" in shown


def _exit_with_a_background_job(words: list[str]) -> None:
    """Run it in a process group that is not the terminal's; exit with 0 if it does, and ends."""
    mode = termios.tcgetattr(0)
    mode[3] |= termios.TOSTOP
    termios.tcsetattr(0, termios.TCSANOW, mode)
    job = subprocess.Popen(words, process_group=0)
    deadline = time.monotonic() + LAST_RESORT_SECONDS
    while time.monotonic() < deadline:
        pid, status = os.waitpid(job.pid, os.WNOHANG | os.WUNTRACED)
        if pid:
            os._exit(0 if status == 0 else 1)
        time.sleep(0.02)
    os._exit(2)
