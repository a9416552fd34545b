"""Marking from inside: what the shim's thread reaches, and what the program notices of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting import wait_until

from ksmrun.facts.maps import count_maps
from ksmrun.facts.process import read_sweeper

from .conftest import Programs, start_equal_programs, stop
from .support.sweeping import (
    COVERAGE_MIN,
    MAPS_MORE_MAX,
    coverage,
    has_marked,
    marked,
    ready,
    sweeper_of,
    vmas,
)
from .test_guard import HOLD_MAPS

__all__ = ["marked"]


@pytest.mark.parametrize(
    "arguments", [("hold", "8"), ("brk",), ("threads",), *(("grow", str(n)) for n in range(4))]
)
def test_all_is_marked_and_maps_stay_few(
    marked: tuple[str, ...], programs: Programs, arguments: tuple[str, ...]
) -> None:
    # The number of malloc's arenas depends on how threads meet, unless all of them are made.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
    unwrapped = 0
    # Which mappings of threads are neighbours depends on how they meet, too.
    for _ in range(3 if arguments == ("threads",) else 1):
        with ready(programs.sweep, *arguments, env=environment) as direct:
            unwrapped = max(unwrapped, count_maps(Path("/proc") / str(direct.pid)))
    with ready(*marked, programs.sweep, *arguments, env=environment) as process:
        folder = Path("/proc") / str(process.pid)
        # Two sweeps after growth stopped.
        wait_until(lambda: coverage(process.pid) >= COVERAGE_MIN)
        assert count_maps(folder) <= unwrapped + MAPS_MORE_MAX[arguments[0]]


def test_small_mappings_are_left_alone(ksmrun: str, programs: Programs) -> None:
    run = [ksmrun, "run", "--quiet", "--mechanism=mark", "--mark-min=4M", "--"]
    with ready(*run, programs.sweep, "hold", "8") as process:
        wait_until(lambda: has_marked(process.pid, 8 << 20))
        by_size = {vma["end"] - vma["start"]: vma["marked"] for vma in vmas(process.pid)}
        assert all((size >= 4 << 20) == is_marked for size, is_marked in by_size.items())


@pytest.mark.parametrize("kind", ["sweep", "sweep_musl", "sweep_32"])
def test_every_libc(marked: tuple[str, ...], programs: Programs, kind: str) -> None:
    with ready(*marked, getattr(programs, kind), "hold", "16") as process:
        wait_until(lambda: has_marked(process.pid, 16 << 20))
        assert coverage(process.pid) >= COVERAGE_MIN


@pytest.mark.usefixtures("ksm_on")
def test_equal_pages_merge(ksmrun: str, marked: tuple[str, ...]) -> None:
    processes = start_equal_programs(ksmrun, 2, command=marked)
    # Each process's own count: what others share comes and goes.
    counters = [Path(f"/proc/{process.pid}/ksm_merging_pages") for process in processes]
    pages = (8 << 20) // 4096
    wait_until(lambda: all(int(c.read_text()) >= pages for c in counters))
    stop(processes)


def test_what_the_program_excludes_stays_out(marked: tuple[str, ...], programs: Programs) -> None:
    with ready(*marked, programs.sweep, "unmergeable") as process:
        (address,) = (int(text, 16) for text in process.said)  # type: ignore[attr-defined]
        wait_until(lambda: has_marked(process.pid, 1))
        time.sleep(0.6)
        inside = [
            v for v in vmas(process.pid) if v["start"] < address + (3 << 20) and v["end"] > address
        ]
        assert not any(vma["marked"] for vma in inside)


def test_no_inherit(ksmrun: str) -> None:
    run = [ksmrun, "run", "--quiet", "--mechanism=mark", "--no-inherit", "--"]
    done = subprocess.run(
        [*run, "env"], capture_output=True, text=True, env={"LD_PRELOAD": "libm.so.6"}, check=True
    )
    assert done.stdout == "LD_PRELOAD=libm.so.6\n"


def test_merge_off_is_off_inside_too(
    marked: tuple[str, ...], ksmrun: str, programs: Programs
) -> None:
    off = (ksmrun, "run", "--merge=off", "--quiet", "--")
    with ready(*marked, *off, programs.sweep, "hold", "4") as process:
        assert sweeper_of(process.pid) is None
        environ = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        variables = dict(word.split(b"=", 1) for word in environ if word)
        assert os.environb.get(b"LD_PRELOAD") == variables.get(b"LD_PRELOAD")
        ours = {name for name in variables if name.startswith(b"KSMRUN_")}
        assert ours == {name for name in os.environb if name.startswith(b"KSMRUN_")}


def test_the_guard_inside(ksmrun: str) -> None:
    """97 % of 65530 in reserve leave 1965 VMAs."""
    run = [ksmrun, "run", "--quiet", "--mechanism=mark", "--map-reserve=97%", "--"]
    with ready(*run, sys.executable, "-c", HOLD_MAPS) as process:
        folder = Path("/proc") / str(process.pid)
        wait_until(lambda: getattr(read_sweeper(folder), "state", "") == "stopped-at-map-limit")
        listed = subprocess.run([ksmrun, "ps"], capture_output=True, text=True, check=True).stdout
        assert f"PID {process.pid}" in listed
        assert "ksmrun host max-map-count 131072" in listed
        shown = subprocess.run([ksmrun, "ps", "--json"], capture_output=True, text=True, check=True)
        (entry,) = [p for p in json.loads(shown.stdout)["processes"] if p["pid"] == process.pid]
        assert entry["sweeper"]["state"] == "stopped-at-map-limit"


def test_verify(ksmrun: str, programs: Programs) -> None:
    run = [ksmrun, "run", "--mechanism=mark", "--verify", "--", programs.sweep, "hold", "4"]
    with ready(*run, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        lines = (line for line in process.stderr if "KSM is off" not in line)
        assert "has memory marked for merging" in next(lines)
