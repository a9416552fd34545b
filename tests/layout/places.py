"""Addresses of a program's parts, as it prints them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waiting import LAST_RESORT_SECONDS

PARTS = ("program", "local", "mmap", "brk", "vdso")


@dataclass(frozen=True)
class Told:
    """Output of the program `where`: addresses, and values that do not depend on them."""

    places: tuple[int, ...]
    rest: dict[str, Any]


def told(text: str) -> Told:
    found = json.loads(text)
    # Each process has its own random bytes from the kernel.
    del found["random"]
    return Told(tuple(found.pop(part) for part in PARTS), found)


def where(*command: str) -> Told:
    """Run it; it must print nothing else and succeed."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=LAST_RESORT_SECONDS
    )
    assert (done.returncode, done.stderr) == (0, ""), (command, done)
    return told(done.stdout)


def named(name: str) -> list[str]:
    """Return the processes with this executable's name, including zombies.

    Orphans are reaped by the first process of the system, which takes its time.
    """
    found = []
    # The pattern contains no file name: if a process ends meanwhile, Path.glob would fail.
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            text = (process / "stat").read_text(errors="replace")
            before, _, after = text.rpartition(")")
            if before.partition("(")[2] == name and after.split()[:2] != ["Z", "1"]:
                found.append(process.name)
    return found


def wait_until_none(name: str) -> None:
    """Wait for processes that are ending."""
    deadline = time.monotonic() + 20
    while found := named(name):
        assert time.monotonic() < deadline, f"{name} is still there: {found}"
        time.sleep(0.02)
