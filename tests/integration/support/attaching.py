"""Programs to be attached to, and the helper that does it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from compiled import compile_to
from waiting import wait_until

from ksmrun.attach.running import HELPER

from ..conftest import SOURCES, Programs


@pytest.fixture(scope="module")
def sources(programs: Programs) -> Programs:
    for name in ("blocked", "steady", "sequence", "ends", "interrupted"):
        command = ["gcc", "-O2", "-w", "-pthread", str(SOURCES / f"{name}.c")]
        compile_to(programs.folder / name, command)
    static = ["gcc", "-O2", "-w", "-static", str(SOURCES / "steady.c")]
    compile_to(programs.folder / "steady_static", static)
    return programs


@pytest.fixture
def begin() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a program, wait for its ready line, and end it afterwards."""
    running = []

    def started(*command: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        running.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield started
    for process in running:
        process.kill()
        process.wait()


Begin = Callable[..., subprocess.Popen[str]]


def merges(pid: int) -> bool:
    return "ksm_merge_any: yes" in Path(f"/proc/{pid}/ksm_stat").read_text()


# Results for a program that a busy machine does not let run in time; the next try may do it.
TOO_BUSY = {"no-stop", "late"}


def deed_done(word: str, pid: int) -> None:
    """Repeat it while the machine is too busy."""

    def is_done() -> bool:
        (outcome,) = deed(word, pid)
        assert outcome in {"done", *TOO_BUSY}
        return outcome == "done"

    wait_until(is_done)


def deed(word: str, *pids: int) -> list[str]:
    """Return ksmrun-attach's result for each process."""
    line = [str(HELPER), word, *map(str, pids)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return [each.split()[1] for each in done.stdout.splitlines()]
