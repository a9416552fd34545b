"""Fleets of Python programs in experiments, and what remains of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from ksm_at_boot import KSM
from waiting import LAST_RESORT_SECONDS

Ab = Callable[..., subprocess.CompletedProcess[str]]
SHORT = ("--stagger=0.05", "--hold=0.1")
FAST = (
    *SHORT,
    "--ksm",
    "pages_to_scan=1000000",
    "--ksm",
    "sleep_millisecs=0",
    "--ksm",
    "smart_scan=0",
)
# Named as the arms are by default.
UNMERGED = ("--arm=off=--merge=off", "--arm=on=--merge=off")
# Another test may be setting the real ones.
COPIED = 'mount --bind "$1" /sys/kernel/mm/ksm; shift; exec "$@"'
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
    """Run an experiment; it sets the host's KSM."""
    return runner(command, tmp_path)


@pytest.fixture
def still(tmp_path: Path) -> list[str]:
    """Return a prefix for commands that find KSM on, and so leave it alone, beside other tests."""
    return with_copied_ksm(tmp_path / "ksm", run="1")


def with_copied_ksm(copy: Path, run: str) -> list[str]:
    """Return a prefix for commands that see a copy of KSM's files, with this value of `run`."""
    copy.mkdir()
    for file in KSM.iterdir():
        (copy / file.name).write_text(file.read_text())
    (copy / "run").write_text(f"{run}\n")
    return ["unshare", "--mount", "sh", "-euc", COPIED, "copied", str(copy)]


@pytest.fixture
def unmerged_ab(still: list[str], ksmrun: str, folder: Path, tmp_path: Path) -> Ab:
    """Run an experiment with arms that do not merge, beside other tests."""
    return runner([*still, ksmrun, "ab", *SHORT, f"--output={folder}"], tmp_path)


def runner(command: list[str], tmp_path: Path) -> Ab:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KSMRUN_STATE_DIR": str(tmp_path / "state")}
        return subprocess.run(
            [*command, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=LAST_RESORT_SECONDS,
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


def warned(folder: Path) -> dict[str, list[str]]:
    """Return the warnings by arm."""
    found: dict[str, list[str]] = {}
    for file in (folder / "rounds").glob("*.json"):
        result = json.loads(file.read_text())
        found[result["arm"]] = [what for what, _ in result["warnings"]]
    return found
