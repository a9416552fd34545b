"""Fleets of Python programs in experiments, and what remains of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

Ab = Callable[..., subprocess.CompletedProcess[str]]
FAST = (
    "--stagger=0.05",
    "--hold=0.1",
    "--ksm",
    "pages_to_scan=1000000",
    "--ksm",
    "sleep_millisecs=0",
    "--ksm",
    "smart_scan=0",
)
# Where merging does not matter, and need not settle. Named as the arms are by default.
UNMERGED = ("--arm=off=--merge=off", "--arm=on=--merge=off")
EQUAL = "import random, time; random.seed(1); data = random.randbytes(8 << 20); "
READY = "print('ready', flush=True); time.sleep(1000)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def command(ksmrun: str, folder: Path) -> list[str]:
    return [ksmrun, "ab", *FAST, f"--output={folder}"]


@pytest.fixture
def ab(command: list[str], tmp_path: Path) -> Ab:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KSMRUN_STATE_DIR": str(tmp_path / "state")}
        return subprocess.run(
            [*command, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    return run


def python(code: str, *arguments: str) -> list[str]:
    return ["--", sys.executable, "-c", code, *arguments]


def marked(mark: str) -> list[psutil.Process]:
    """Return the processes of a fleet with this word in their command lines."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if mark in words and "ab" not in words:
            found.append(process)
    return found
