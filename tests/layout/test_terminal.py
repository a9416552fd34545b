"""Keys on a real terminal, at moments from the start of a launch on, have their usual effect."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS

from .conftest import Build
from .places import told, where

# A launch takes 1 to 3 ms; at the last ones the program is running.
DELAYS = [step * 0.0001 for step in range(60)]
END = b'"dumpable": 1}'
KEYS = {
    "ctrl-c": (b"\x03", signal.SIGINT),
    "ctrl-backslash": (b"\x1c", signal.SIGQUIT),
    "hang-up": (b"", signal.SIGHUP),
}


class Terminal:
    """Keyboard end of a pseudo-terminal."""

    def __init__(self, *command: str) -> None:
        self.master, slave = pty.openpty()
        self.text = b""
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={"PATH": os.environ["PATH"], "TERM": "dumb", "PS1": "", "PS2": ""},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            start_new_session=True,
        )
        os.close(slave)

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def read(self, seconds: float) -> None:
        if select.select([self.master], [], [], seconds)[0]:
            self.text += os.read(self.master, 65536)

    def wait_until(self, condition: Callable[[], bool], key: bytes = b"") -> None:
        """Wait for the condition, reading the output; press the key again if nothing came of it."""
        deadline = time.monotonic() + 60
        again = time.monotonic()
        while not condition():
            assert time.monotonic() < deadline, self.text
            if key and time.monotonic() >= again:
                self.press(key)
                # A second one that comes late would stop what has been continued.
                again = time.monotonic() + 1
            self.read(0.001)

    def expect(self, text: bytes) -> bytes:
        """Wait for this output; return what was shown before it."""
        self.wait_until(lambda: text in self.text)
        before, _, self.text = self.text.partition(text)
        return before

    def is_in_front(self, group: int) -> bool:
        return os.tcgetpgrp(self.master) == group

    def hang_up(self) -> None:
        os.close(self.master)


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("way", ["direct", "moved"])
def test_key_that_ends(launch: list[str], build: Build, name: str, way: str) -> None:
    prefix = launch if way == "moved" else []
    keys, number = KEYS[name]
    for delay in DELAYS:
        terminal = Terminal(*prefix, build("where"), "wait")
        time.sleep(delay)
        if keys:
            terminal.press(keys)
        else:
            terminal.hang_up()
        assert terminal.process.wait(timeout=LAST_RESORT_SECONDS) == -number, delay
        if keys:
            terminal.hang_up()


@pytest.fixture
def shell() -> Iterator[Terminal]:
    """Start an interactive shell with job control."""
    terminal = Terminal("bash", "--norc", "--noprofile", "--noediting", "-i")
    terminal.press(b"stty -echo noflsh; set -m; echo is $((1 + 1)) up\n")
    terminal.expect(b"is 2 up\r\n")
    yield terminal
    terminal.hang_up()
    assert terminal.process.wait(timeout=LAST_RESORT_SECONDS) == -signal.SIGHUP


def child_of(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split() or ["0"]
    return int(child)


def is_stopped(pid: int) -> bool:
    """Return whether it is stopped by a signal, shown by the letter t if a tracer watches."""
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] if pid else ""
    return state in ("T", "t")


@pytest.mark.parametrize("way", ["direct", "moved"])
def test_stopped_and_continued(shell: Terminal, launch: list[str], build: Build, way: str) -> None:
    prefix = launch if way == "moved" else []
    expected = where(*launch, build("where"))
    line = " ".join([*prefix, build("where"), "wait"])
    bash = shell.process.pid
    for delay in DELAYS:
        shell.press(f"echo go; {line}\n".encode())
        shell.expect(b"go\r\n")
        time.sleep(delay)
        # A key that comes too early goes to the shell, which ignores it.
        shell.wait_until(lambda: is_stopped(child_of(bash)) and shell.is_in_front(bash), b"\x1a")
        child = child_of(bash)
        # By number: bash has no current job if one stopped before it was registered
        # (stop_pipeline).
        # A second key that comes late stops it again.
        while shell.is_in_front(bash):
            shell.press(b"fg %1\n")
            shell.wait_until(lambda child=child: shell.is_in_front(child))  # type: ignore[misc]
            shell.wait_until(lambda: END in shell.text or shell.is_in_front(bash))
        # The shell's lines may come between the program's.
        shown = b"{" + shell.expect(END).partition(b"{")[2] + END
        rows = [row for row in shown.splitlines() if row.startswith((b"{", b'"'))]
        found = told(b"".join(rows).decode())
        assert (found.places == expected.places) is (way == "moved"), delay
        shell.press(b"\x03")
        shell.wait_until(lambda: shell.is_in_front(bash))
        shell.press(b"echo code $?\n")
        assert b"Killed" not in shell.expect(b"code 130\r\n")
