"""Where a program's parts lie, as it tells itself."""

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
    """What the program `where` prints: addresses, and what does not depend on them."""

    places: tuple[int, ...]
    rest: dict[str, Any]


def told(text: str) -> Told:
    found = json.loads(text)
    # Each process has random bytes of its own from the kernel.
    del found["random"]
    return Told(tuple(found.pop(part) for part in PARTS), found)


def where(*command: str) -> Told:
    """Runs it; it must say nothing else and succeed."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=LAST_RESORT_SECONDS
    )
    assert (done.returncode, done.stderr) == (0, ""), (command, done)
    return told(done.stdout)


def named(name: str) -> list[str]:
    """The processes with this name, which is their executable's. Zombies keep it; those whose
    parent is gone wait for the first process of the system, which takes its time.
    """
    found = []
    # No pattern with a file in it: one that ends meanwhile is an error of Path.glob.
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            text = (process / "stat").read_text(errors="replace")
            before, _, after = text.rpartition(")")
            if before.partition("(")[2] == name and after.split()[:2] != ["Z", "1"]:
                found.append(process.name)
    return found


def wait_until_none(name: str) -> None:
    """For those that are on their way out."""
    deadline = time.monotonic() + 20
    while found := named(name):
        assert time.monotonic() < deadline, f"{name} is still there: {found}"
