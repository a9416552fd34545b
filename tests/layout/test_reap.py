"""A program that adopts orphans first waits for its helper, also if its code cannot be written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS

from .conftest import Build
from .places import told

# prctl(2): PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN.
REFUSE_CODE = (
    "import ctypes, os, sys\n"
    "assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0\n"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
WAYS = {"force": (False, False), "mprotect": (True, False), "force alone": (False, True)}


def adopting(
    launcher: Path, launch: list[str], build: Build, without_force: bool, refuses: bool
) -> list[str]:
    policy = [sys.executable, "-c", REFUSE_CODE] if refuses else []
    preload = build("noforce", "-shared", "-fPIC")
    environment = ["/usr/bin/env", f"LD_PRELOAD={preload}"] if without_force else []
    return [*policy, *environment, build("adopt"), str(launcher), *launch[1:], build("where")]


@pytest.mark.parametrize("by", ["limit", "reservation"])
@pytest.mark.parametrize("way", WAYS)
def test_page(dynamic_launcher: Path, launch: list[str], build: Build, way: str, by: str) -> None:
    prefix = [build("deny"), "1:135"] if by == "reservation" else []
    command = [*prefix, *adopting(dynamic_launcher, launch, build, *WAYS[way])]
    runs = [
        subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=LAST_RESORT_SECONDS
        )
        for _ in range(2)
    ]
    assert [(run.returncode, run.stderr) for run in runs] == [(0, "")] * 2, runs
    first, second = (told(run.stdout) for run in runs)
    assert first.places == second.places
    assert (first.rest["children"], first.rest["child_signals"]) == (0, 0)


def test_neither(dynamic_launcher: Path, launch: list[str], build: Build) -> None:
    """That is known before the exec: the program starts with the kernel's layout, or not at all."""
    command = adopting(dynamic_launcher, launch, build, True, True)
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=LAST_RESORT_SECONDS
    )
    assert (done.returncode, done.stdout) == (125, "")
    assert "is PID 1 or a subreaper" in done.stderr and "to do: allow mprotect" in done.stderr
    command.remove("--require")
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=LAST_RESORT_SECONDS
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert told(done.stdout).rest["children"] == 0
