"""Programs that the shim marks, and what of their memory is marked."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import LAST_RESORT_SECONDS

from ksmrun.facts.process import read_sweeper

# And one at each eightfold size to which a program grows between sweeps.
MAPS_MORE_MAX = {"hold": 4, "brk": 4, "threads": 6, "grow": 6}


COVERAGE_MIN = 0.99


MARK_MIN_BYTES = 64 << 10


@pytest.fixture
def marked(ksmrun: str) -> tuple[str, ...]:
    return (ksmrun, "run", "--quiet", "--mechanism=mark", "--")


@contextlib.contextmanager
def ready(*command: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start the program, wait for its line "ready", and end it by closing its stdin."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, **options) as process:
        assert process.stdout is not None
        process.said = []  # type: ignore[attr-defined]
        for line in process.stdout:
            if line == "ready\n":
                break
            process.said.append(line.strip())  # type: ignore[attr-defined]
        yield process
        process.communicate(timeout=LAST_RESORT_SECONDS)
    assert process.returncode == 0


def vmas(pid: int) -> list[dict[str, Any]]:
    """Return the VMAs of /proc/PID/smaps: address, name, anonymous bytes, whether it is marked."""
    found: list[dict[str, Any]] = []
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first and not first.endswith(":"):
            start, end = (int(part, 16) for part in first.split("-"))
            name = rest[4] if len(rest) > 4 else ""
            found.append({"start": start, "end": end, "perms": rest[0], "name": name})
        elif first == "Anonymous:":
            found[-1]["anonymous"] = int(rest[0]) * 1024
        elif first == "VmFlags:":
            found[-1]["marked"] = "mg" in rest
    return found


def coverage(pid: int) -> float:
    """Return the marked share of the anonymous resident memory that may be marked."""
    wanted = [vma for vma in vmas(pid) if vma["name"] != "[stack]" and "w" in vma["perms"]]
    total = sum(int(vma["anonymous"]) for vma in wanted)
    return sum(int(vma["anonymous"]) for vma in wanted if vma["marked"]) / total


def sweeper_of(pid: int) -> int | None:
    """Return the thread's ID, if there is one."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "ksmrun-sweep":
            return int(task.name)
    return None


def has_marked(pid: int, bytes_min: int) -> bool:
    status = read_sweeper(Path("/proc") / str(pid))
    return status is not None and (status.marked_bytes or 0) >= bytes_min
