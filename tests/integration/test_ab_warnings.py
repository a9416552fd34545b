"""Each warning of `ksmrun ab`, by its real cause."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import start_equal_programs, stop
from .support.experiments import EQUAL, READY, Ab, ab, command, folder, python, warned

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
UNEQUAL = (
    "import random, sys, time; random.seed(max(1, int(sys.argv[1]))); "
    + EQUAL.partition("random.seed(1); ")[2]
)


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
