"""Each warning of `ksmrun ab`, by its real cause."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import start_equal_programs, stop
from .support.experiments import EQUAL, READY, Ab, ab, command, folder, python

pytestmark = pytest.mark.host_ksm

__all__ = ["ab", "command", "folder"]

ONCE = ("-n2", "--rounds=1", "--ready-stdout=ready")
# Random bytes: none of it merges, so ksmd leaves it alone.
HUGE = """
import mmap, os
data = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
data.madvise(mmap.MADV_HUGEPAGE)
data.write(os.urandom(32 << 20))
"""
# Into swap and back, repeatedly; 21: MADV_PAGEOUT.
SWAPS = """
import mmap, os
data = mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
data.write(os.urandom(16 << 20))
print("ready", flush=True)
while True:
    data.madvise(21)
    sum(data[place] for place in range(0, 16 << 20, 4096))
"""
# sh restarts the server whenever it ends.
SUPERVISED = f"""
while :; do {sys.executable} -c "{EQUAL} print('ready', flush=True); time.sleep(1.5)"; done
"""
EXECS = EQUAL + (
    "print('ready', flush=True); time.sleep(1.5); import os, sys; "
    "os.execv(sys.executable, [sys.executable, '-c', sys.orig_argv[2]])"
)
UNEQUAL = (
    "import random, sys, time; random.seed(max(1, int(sys.argv[1]))); "
    + EQUAL.partition("random.seed(1); ")[2]
)


def warned(folder: Path) -> dict[str, list[str]]:
    """Return the warnings by arm."""
    found: dict[str, list[str]] = {}
    for file in (folder / "rounds").glob("*.json"):
        result = json.loads(file.read_text())
        found[result["arm"]] = [what for what, _ in result["warnings"]]
    return found


def test_something_else_merges(ab: Ab, folder: Path, launcher: str) -> None:
    programs = start_equal_programs(launcher, 2)
    try:
        done = ab(*ONCE, *python(EQUAL + READY))
    finally:
        stop(programs)
    assert done.returncode == 0, done.stderr
    for texts in warned(folder).values():
        (what,) = texts
        assert "other programs merge on this host too" in what
        assert all(f"(PID {program.pid})" in what for program in programs)
    assert "on: other programs merge" in done.stdout


def test_not_settled(ab: Ab, folder: Path) -> None:
    done = ab(*ONCE, "--settle-max=0", *python(EQUAL + READY))
    assert done.returncode == 0, done.stderr
    assert "merging had not settled after 0 s" in warned(folder)["on"]
    assert "raise the scan rate (--ksm pages_to_scan=5000)" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("sh", "-c", SUPERVISED),
        pytest.param((sys.executable, "-c", EXECS), marks=pytest.mark.long_run),
    ],
)
def test_an_instance_started_anew(ab: Ab, folder: Path, words: tuple[str, ...]) -> None:
    done = ab(*ONCE, "--hold=4", "--", *words)
    assert done.returncode == 0, done.stderr
    assert any("restarted while measuring" in what for what in warned(folder)["off"])


def test_an_instance_that_died(ab: Ab, folder: Path) -> None:
    """The first copy dies during the measurement: its turn does not count."""
    code = f"import os; open('pid', 'w').write(str(os.getpid())); {EQUAL}{READY}"
    kill = "sh -c 'sleep 0.5; kill -9 $(cat {dir}/pid); sleep 99'"
    done = ab(*ONCE, f"--fleet-load={kill}", "--hold=10", *python(code))
    assert done.returncode == 1
    assert "was killed by SIGKILL; its output ends: ready" in done.stderr
    assert f"continue with: ksmrun ab --resume {folder}" in done.stderr
    assert not list((folder / "rounds").glob("*.json"))


def test_copies_with_other_seeds(ab: Ab, folder: Path) -> None:
    """The first two of three have the same seed."""
    done = ab("-n3", "--rounds=1", "--ready-stdout=ready", *python(UNEQUAL + READY, "{i}"))
    assert done.returncode == 0, done.stderr
    (what,) = warned(folder)["on"]
    assert "the copies merge unequally" in what
    assert "start seeds" in what
    assert warned(folder)["off"] == []


def test_huge_pages(ab: Ab, folder: Path) -> None:
    done = ab(*ONCE, *python(HUGE + READY.replace("time.", "__import__('time').")))
    assert done.returncode == 0, done.stderr
    assert any("lies in huge pages" in what for what in warned(folder)["off"])
    assert "try an arm with --thp off" in done.stdout


@pytest.fixture
def swap(tmp_path: Path) -> Iterator[None]:
    file = tmp_path / "swap"
    file.touch(mode=0o600)
    subprocess.run(["fallocate", "--length=96M", file], check=True)
    subprocess.run(["mkswap", "--quiet", file], check=True)
    subprocess.run(["swapon", file], check=True)
    yield
    subprocess.run(["swapoff", file], check=True)


@pytest.mark.usefixtures("swap")
def test_swap_and_memory_pressure(ab: Ab, folder: Path) -> None:
    done = ab(*ONCE, "--settle-max=1", "--hold=4", *python(SWAPS))
    assert done.returncode == 0, done.stderr
    texts = warned(folder)["off"]
    assert "the host swapped, which hides memory from PSS" in texts
    assert any("tasks waited for memory" in what for what in texts)


def test_copies_that_start_together(ab: Ab) -> None:
    done = ab(*ONCE, *python(EQUAL + READY))
    assert "copies were started 0.05 s apart" in done.stdout
    assert "to do: repeat it with --stagger 1.3" in done.stdout


def test_ksm_switched_off(ab: Ab, folder: Path) -> None:
    off = "sh -c 'echo 0 >/sys/kernel/mm/ksm/run; sleep 99'"
    done = ab(*ONCE, "--hold=0.5", f"--fleet-load={off}", *python(EQUAL + READY))
    assert done.returncode == 0, done.stderr
    assert "KSM was switched off while measuring" in warned(folder)["on"]


def test_nothing_is_enabled(ab: Ab, folder: Path, launcher: str) -> None:
    """The program's own start script clears the flag."""
    words = python(EQUAL + READY)
    done = ab(*ONCE, "--", launcher, "--merge=off", *words)
    assert done.returncode == 0, done.stderr
    assert warned(folder) == {
        "off": [],
        "on": ["no process of this arm is enabled for merging"],
    }
