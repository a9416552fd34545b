"""Programs that resist being attached to, or cannot be.

Nobody waits for them, and those that can go on do so as if nothing had happened.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS, wait_until

from ksmrun.attach.running import HELPER
from ksmrun.facts.stat import read_stat

from .conftest import SOURCES, Programs, Run
from .support.attaching import TOO_BUSY, Begin, begin, deed, deed_done, merges

__all__ = ["begin"]

# For one process that hangs, with what a loaded machine adds, also for ksmrun's own start.
SECONDS_MAX = 2.0
UNPRIVILEGED = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture(scope="module")
def sources(programs: Programs) -> Programs:
    for name in ("rewrites", "restless"):
        source, target = str(SOURCES / f"{name}.c"), str(programs.folder / name)
        subprocess.run(["gcc", "-O2", "-w", "-pthread", source, "-o", target], check=True)
    return programs


def timed(*arguments: str) -> tuple[str, float]:
    """Return the helper's result for the first process, and the time it took."""
    start = time.monotonic()
    outcome = deed(arguments[0], *map(int, arguments[1:]))[0]
    return outcome, time.monotonic() - start


def is_well(process: subprocess.Popen[str]) -> bool:
    """Return whether it completes normally when told to."""
    said, _ = process.communicate("go\n", timeout=LAST_RESORT_SECONDS)
    return said.endswith("well\n") and process.returncode == 0


def mounted(kind: str, option: str = "") -> Path:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, found, options, *_ = line.split()
        if found == kind and (not option or option in options.split(",")):
            return Path(place)
    pytest.skip(f"no {kind} {option} here")


@pytest.fixture
def made_group() -> Iterator[Callable[[Path], Path]]:
    made: list[Path] = []

    def make(mount: Path) -> Path:
        made.append(mount / f"ksmrun-test-{os.getpid()}")
        made[-1].mkdir()
        return made[-1]

    yield make
    for folder in made:
        for file, word in (("cgroup.freeze", "0"), ("freezer.state", "THAWED")):
            if (folder / file).exists():
                (folder / file).write_text(word)
        for pid in (folder / "cgroup.procs").read_text().split():
            with suppress(OSError):
                os.kill(int(pid), 9)
        wait_until(lambda folder=folder: not (folder / "cgroup.procs").read_text())  # type: ignore[misc]
        folder.rmdir()


def frozen(process: subprocess.Popen[str], make: Callable[[Path], Path]) -> Path:
    """Return its frozen cgroup (v2)."""
    group = make(mounted("cgroup2"))
    (group / "cgroup.procs").write_text(str(process.pid))
    (group / "cgroup.freeze").write_text("1")
    wait_until(lambda: "frozen 1" in (group / "cgroup.events").read_text())
    return group


def test_a_frozen_program(
    run: Run, begin: Begin, sources: Programs, made_group: Callable[[Path], Path]
) -> None:
    """It is left alone, and others of the same command are not."""
    process = begin(sources.restless, "none")
    other = begin(sources.restless, "none")
    group = frozen(process, made_group)
    start = time.monotonic()
    done = run("attach", str(process.pid), str(other.pid))
    assert time.monotonic() - start < SECONDS_MAX
    assert done.returncode == 1
    said = re.sub(r"\s+", " ", done.stdout)
    assert "its cgroup is frozen; thaw it" in said
    assert (merges(process.pid), merges(other.pid)) == (False, True)
    (group / "cgroup.freeze").write_text("0")
    deed_done("on", process.pid)
    assert is_well(process) and is_well(other)


def test_one_with_little_cpu_time(begin: Begin, made_group: Callable[[Path], Path]) -> None:
    """It is waited for, as on a busy machine: it runs for 2 ms, at most, of each 300."""
    process = begin("sh", "-c", "echo ready; while :; do :; done")
    group = made_group(mounted("cgroup", "cpu"))
    (group / "cpu.cfs_period_us").write_text("300000")
    (group / "cpu.cfs_quota_us").write_text("2000")
    (group / "cgroup.procs").write_text(str(process.pid))
    found = [deed("off" if each % 2 else "on", process.pid) for each in range(6)]
    assert ["no-stop"] not in found
    assert ["done"] in found


# There a frozen thread of version 1 does not stop, and one in the call is waited for.
FREEZERS = {
    "2": ("cgroup2", "", "cgroup.freeze", ("1", "0"), {"frozen"}),
    "1": ("cgroup", "freezer", "freezer.state", ("FROZEN", "THAWED"), {"no-stop", "pending"}),
}


@pytest.mark.parametrize("version", FREEZERS)
def test_frozen_again_and_again(
    begin: Begin, sources: Programs, made_group: Callable[[Path], Path], version: str
) -> None:
    """Whenever it is frozen, the call is made or taken back."""
    kind, option, file, (freeze, thaw), others = FREEZERS[version]
    process = begin(sources.restless, "none")
    group = made_group(mounted(kind, option))
    (group / "cgroup.procs").write_text(str(process.pid))
    again = (
        f"while :; do echo {freeze} >{file}; sleep 0.00$((RANDOM % 5)); echo {thaw} >{file}; done"
    )
    with subprocess.Popen(["bash", "-c", again], cwd=group) as freezing:
        try:
            found = [timed("off" if each % 2 else "on", str(process.pid)) for each in range(99)]
        finally:
            freezing.kill()
    (group / file).write_text(thaw)
    assert {outcome for outcome, _ in found} <= {"done", "late", "not-permitted", *others}
    assert max(seconds for _, seconds in found) < SECONDS_MAX
    status = Path(f"/proc/{process.pid}/status")
    wait_until(lambda: "TracerPid:\t0" in status.read_text())
    assert is_well(process)


def test_a_frozen_program_of_version_1(
    begin: Begin, sources: Programs, made_group: Callable[[Path], Path]
) -> None:
    process = begin(sources.restless, "none")
    group = made_group(mounted("cgroup", "freezer"))
    (group / "cgroup.procs").write_text(str(process.pid))
    (group / "freezer.state").write_text("FROZEN")
    wait_until(lambda: (group / "freezer.state").read_text() == "FROZEN\n")
    outcome, seconds = timed("on", str(process.pid))
    assert outcome == "no-stop" and seconds < SECONDS_MAX
    (group / "freezer.state").write_text("THAWED")
    assert is_well(process)


@pytest.mark.parametrize("how", ["vdso", "other", "fault"])
def test_code_that_is_changed(begin: Begin, sources: Programs, how: str) -> None:
    """What it executes instead of the call has no effect, and its registers are restored.

    tests/native/test_inject.c checks the result of each case.
    """
    process = begin(*UNPRIVILEGED, sources.rewrites, how)
    found = [timed("on", str(process.pid)) for _ in range(50)]
    assert {outcome for outcome, _ in found} <= {"late", "lost", "done", "gone", "no-instruction"}
    assert max(seconds for _, seconds in found) < SECONDS_MAX
    assert is_well(process)


# 16 TiB that may merge: while they do, whoever unmerges the host's memory walks all of it
# (mm/ksm.c: unmerge_ksm_pages), so that this is not done beside tests of that.
MUCH = pytest.param("much", marks=pytest.mark.host_ksm)


@pytest.mark.parametrize("how", ["file", MUCH])
def test_code_that_is_no_vdso(begin: Begin, sources: Programs, how: str) -> None:
    """A name does not make a vDSO, and other code will do."""
    process = begin(*UNPRIVILEGED, sources.rewrites, how)
    outcome, seconds = timed("on", str(process.pid))
    assert outcome == "done" and seconds < SECONDS_MAX
    assert merges(process.pid) and is_well(process)


@pytest.mark.host_ksm
def test_no_page_tables_are_made(begin: Begin, sources: Programs) -> None:
    """Nothing is read from 16 TiB of untouched code."""
    process = begin(*UNPRIVILEGED, sources.rewrites, "much")
    status = Path(f"/proc/{process.pid}/status")

    def tables_kib() -> int:
        return int(re.findall(r"VmPTE:\s+(\d+) kB", status.read_text())[0])

    before = tables_kib()
    deed_done("on", process.pid)
    assert tables_kib() <= before + 64


@pytest.mark.parametrize("how", ["threads", "execs", "signals", "stops"])
def test_a_restless_one(begin: Begin, sources: Programs, how: str) -> None:
    """One of its threads is found, or the result says what prevented it."""
    process = begin(*UNPRIVILEGED, sources.restless, how)
    outcomes = []
    for number in range(20):
        outcome, seconds = timed("off" if number % 2 else "on", str(process.pid))
        assert seconds < SECONDS_MAX
        outcomes.append(outcome)
    allowed = {"threads": "", "execs": "gone", "signals": "", "stops": "stopped"}[how]
    assert set(outcomes) <= {"done", allowed, *TOO_BUSY}, outcomes
    assert "done" in outcomes
    assert is_well(process)


def test_a_parent_of_vfork(begin: Begin, sources: Programs) -> None:
    """It waits uninterruptibly."""
    process = begin(*UNPRIVILEGED, sources.restless, "vforks")
    wait_until(lambda: read_stat(Path(f"/proc/{process.pid}")).state == "D")
    outcome, seconds = timed("on", str(process.pid))
    assert outcome == "no-stop" and seconds < SECONDS_MAX


def test_another_process_with_its_number(begin: Begin, sources: Programs) -> None:
    """A process that began at another time is not the one that was meant."""
    process = begin(sources.restless, "none")
    started = read_stat(Path(f"/proc/{process.pid}")).start_ticks

    def answers(word: str) -> list[str]:
        line = [str(HELPER), word, f"{process.pid}:{started - 1}", f"{process.pid}:{started}"]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
        return [each.split()[1] for each in done.stdout.splitlines()]

    assert answers("on") == ["gone", "done"]
    assert merges(process.pid)
    assert answers("off") == ["gone", "done"]
    assert answers("mark") == ["gone", "done"]
    assert answers("unmark") == ["gone", "done"]
    assert is_well(process)


@pytest.mark.parametrize("word", ["1:", "1:x", "1:-1", "1:1x", ":1", "-1", "99999999999999999999"])
def test_words_that_name_no_process(word: str) -> None:
    done = subprocess.run([HELPER, "on", word], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{word} is not a PID" in done.stderr


def test_a_helper_that_is_told_nothing_of_its_children(begin: Begin, sources: Programs) -> None:
    """Its starter may ignore SIGCHLD; without the signal each stop would time out."""
    process = begin(sources.restless, "none")
    ignoring = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
    ignoring += "os.execv(sys.argv[1], sys.argv[1:])"
    line = [sys.executable, "-c", ignoring, str(HELPER), "on", str(process.pid)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    _, outcome, _, stopped_ns = done.stdout.split()
    assert outcome == "done" and int(stopped_ns) < 90_000_000


def test_unmergeable_memory_is_spoken_of(run: Run, begin: Begin, sources: Programs) -> None:
    """The kernel keeps no record of MADV_UNMERGEABLE, so attach says that it undoes it."""
    process = begin(sources.restless, "none")
    assert "MADV_UNMERGEABLE" in run("attach", "--help").stdout
    done = re.sub(r"\s+", " ", run("attach", str(process.pid)).stdout)
    assert "What they made MADV_UNMERGEABLE before merges too" in done
    assert "MADV_UNMERGEABLE" not in run("attach", str(process.pid)).stdout, "nothing was done"
    assert "MADV_UNMERGEABLE" not in run("detach", str(process.pid)).stdout
