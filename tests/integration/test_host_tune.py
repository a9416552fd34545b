"""`ksmrun host tune`, `show`, `set --unmerge`, `unmerge` on this host's real KSM."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ksm_at_boot import tunables
from waiting import wait_until

from .conftest import Group, Run, start_equal_programs, stop, value

pytestmark = pytest.mark.host_ksm

# Python's own files belong to another user here: once before, to import everything.
AS_NOBODY = """
import contextlib, io, os, sys
from ksmrun.cli import run_app
with contextlib.redirect_stdout(io.StringIO()):
    run_app(["host", "tune", "--max-cpu=20%", "--dry-run"])
os.setuid(65534)
sys.exit(run_app(sys.argv[1:]))
"""


def test_share_of_a_core(run: Run) -> None:
    """The plan comes first; a dry run sets nothing; what is set can be restored."""
    before = tunables()
    done = run("host", "tune", "--max-cpu=20%", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "pages_to_scan" in done.stdout
    assert "expected: a full scan of" in done.stdout
    assert tunables() == before
    done = run("host", "tune", "--max-cpu=20%")
    assert done.returncode == 0, done.stderr
    assert "run: 0 -> 1" in done.stdout
    assert "now: ksmd takes" in done.stdout
    assert int(value("pages_to_scan")) > 100
    again = run("host", "tune", "--max-cpu=20%", "--json")
    plan = json.loads(again.stdout)
    assert plan["cpu_share"] == pytest.approx(0.2, rel=0.02)
    assert run("host", "restore").returncode == 0
    assert tunables() == before


def test_time_of_a_pass(run: Run) -> None:
    """The kernel's advisor is used, which adapts to the memory to scan."""
    done = run("host", "tune", "--scan-time=2m", "--max-cpu=30%")
    assert done.returncode == 0, done.stderr
    assert value("advisor_mode") == "none [scan-time]"
    assert (value("advisor_target_scan_time"), value("advisor_max_cpu")) == ("120", "30")
    # From there to a fixed rate, which the advisor would change again.
    done = run("host", "tune", "--profile=gentle")
    assert done.returncode == 0, done.stderr
    assert value("advisor_mode") == "[none] scan-time"


@pytest.mark.usefixtures("ksm_on")
def test_what_is_too_fast(run: Run, launcher: str) -> None:
    """A second for a GiB takes more than a hundredth of a core."""
    programs = start_equal_programs(launcher, 4, mib=100)
    try:
        wait_until(lambda: int(value("pages_sharing")) > 70_000)
        done = run("host", "tune", "--scan-time=1s", "--max-cpu=1%", "--dry-run")
        assert done.returncode == 1
        assert re.search(
            r"a full scan of 0\.4 GiB takes \d+ s of CPU here .*µs a page", done.stderr
        )
        assert "ask for --scan-time" in done.stderr
    finally:
        stop(programs)


def test_advice(run: Run, launcher: str) -> None:
    zeros = (
        "import mmap, sys\ndata = mmap.mmap(-1, 32 << 20, flags=0x22)\n"
        "for page in range(0, len(data), 4096): data[page] = 1\n"
        "for page in range(0, len(data), 4096): data[page] = 0\n"
        "print('ready', flush=True)\nsys.stdin.read()"
    )
    programs = start_equal_programs(launcher, 2, code=zeros)
    try:
        said = run("host", "tune", "--max-cpu=20%", "--dry-run").stdout
        assert re.search(r"\d+% of the memory looked at are pages of zeros", said)
        assert "ksmrun host set use_zero_pages=1" in said
        assert "with so few processes (2) smart_scan may keep equal pages apart" in said
    finally:
        stop(programs)


def test_another_tuner(run: Run, tmp_path: Path) -> None:
    """Named with its PID, and left alone."""
    script = tmp_path / "ksmtuned"
    script.write_text("#!/bin/bash\nread -r\n")
    script.chmod(0o755)
    tuner = subprocess.Popen([script], stdin=subprocess.PIPE)
    try:
        wait_until(lambda: "ksmtuned" in Path(f"/proc/{tuner.pid}/cmdline").read_text())
        done = run("host", "tune", "--max-cpu=20%")
        assert done.returncode == 1
        assert f"ksmtuned (PID {tuner.pid}) sets KSM's rate" in done.stderr
        assert "systemctl disable --now ksmtuned" in done.stderr
        assert f"note: ksmtuned (PID {tuner.pid})" in run("host", "show", "--seconds=0").stdout
        assert run("host", "tune", "--max-cpu=20%", "--force").returncode == 0
    finally:
        tuner.communicate()
    assert tuner.returncode == 1


@pytest.mark.usefixtures("ksm_on")
def test_show(run: Run, launcher: str) -> None:
    programs = start_equal_programs(launcher, 2)
    try:
        wait_until(lambda: int(value("pages_sharing")) > 2000)
        said = run("host", "show").stdout
        assert re.search(r"pages_to_scan +1000000 pages a batch +not 100 +size of a batch", said)
        assert re.search(r"ksmd: \d+\.\d% of a core, \d+ MiB/s scanned, a full scan takes", said)
        shown = json.loads(run("host", "show", "--json").stdout)
        assert shown["tunables"]["pages_to_scan"] == 1_000_000
        assert shown["defaults"]["pages_to_scan"] == 100
        assert shown["ksmd"]["cpu_share"] > 0
        assert set(shown["tunables"]) == set(tunables())
        for line in said.splitlines():
            assert "see Documentation" not in line, "each tunable and counter is explained"
    finally:
        stop(programs)


@pytest.mark.usefixtures("ksm_on")
def test_set_what_needs_unmerging(run: Run, launcher: str) -> None:
    programs = start_equal_programs(launcher, 2)
    try:
        wait_until(lambda: int(value("pages_sharing")) > 2000)
        done = run("host", "set", "max_page_sharing=300")
        assert done.returncode == 1
        assert "while nothing is merged" in done.stderr
        assert value("run") == "1"
        done = run("host", "set", "--unmerge", "max_page_sharing=300")
        assert done.returncode == 0, done.stderr
        lines = ["run: 1 -> 2", "max_page_sharing: 256 -> 300", "run: 2 -> 1"]
        assert done.stdout.splitlines()[:3] == lines
        wait_until(lambda: int(value("pages_sharing")) > 2000)
        assert run("host", "restore").returncode == 0
        assert value("max_page_sharing") == "256"
    finally:
        stop(programs)


@pytest.mark.usefixtures("ksm_on")
@pytest.mark.parametrize(("answer", "limit"), [("y\n", "300"), ("n\n", "256"), ("\x04", "256")])
def test_asks_who_can_answer(run: Run, launcher: str, ksmrun: str, answer: str, limit: str) -> None:
    programs = start_equal_programs(launcher, 2)
    terminal, end = pty.openpty()
    try:
        wait_until(lambda: int(value("pages_sharing")) > 2000)
        os.write(terminal, answer.encode())
        line = [ksmrun, "host", "set", "max_page_sharing=300"]
        done = subprocess.run(line, stdin=end, capture_output=True, text=True, check=False)
        assert re.search(r"unmerge \d+ MiB, and merge them again", done.stdout)
        assert done.returncode == (0 if answer == "y\n" else 1)
        # Ctrl-D is no answer.
        assert ("there was no answer, so nothing was changed" in done.stderr) == (answer == "\x04")
        assert "Traceback" not in done.stderr
        assert value("max_page_sharing") == limit
        run("host", "restore")
    finally:
        os.close(terminal)
        os.close(end)
        stop(programs)


@pytest.mark.usefixtures("ksm_on")
def test_unmerging_that_a_cgroup_has_no_room_for(run: Run, launcher: str, group: Group) -> None:
    programs = start_equal_programs(launcher, 3, mib=32)
    try:
        for program in programs:
            group.take(program.pid)
        wait_until(lambda: int(value("pages_sharing")) > 16_000)
        # What was charged elsewhere before stays there.
        group.limit(16 << 20)
        done = run("host", "unmerge")
        assert done.returncode == 1
        assert re.search(rf"bring back up to \d+ MiB in .*/{group.folder.name}", done.stderr)
        assert f"| sudo tee {group.folder / group.file}, or add --force" in done.stderr
        assert value("run") == "1"
        group.limit(1 << 30)
        assert run("host", "unmerge").returncode == 0
        assert value("run") == "2"
    finally:
        stop(programs)
        run("host", "restore")


@pytest.mark.usefixtures("ksm_on")
def test_unmerging_process_by_process(run: Run, launcher: str) -> None:
    programs = start_equal_programs(launcher, 3)
    try:
        wait_until(lambda: int(value("pages_sharing")) > 4000)
        done = run("host", "unmerge", "--gradually")
        assert done.returncode == 0, done.stderr
        for program in programs:
            assert re.search(
                rf"PID {program.pid} \(\S+\): \d+ MiB unmerged, \d+ MiB available", done.stdout
            )
            stat = Path(f"/proc/{program.pid}/ksm_stat").read_text()
            assert "ksm_merge_any: no" in stat
        assert (value("run"), value("pages_sharing")) == ("2", "0")
        run("host", "restore")
    finally:
        stop(programs)


@pytest.mark.usefixtures("run")
def test_not_root() -> None:
    """The command to type, and a plan anyway."""
    environment = {k: v for k, v in os.environ.items() if k != "KSMRUN_STATE_DIR"}

    def as_nobody(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-c", AS_NOBODY, *words]
        return subprocess.run(
            line, capture_output=True, text=True, check=False, env=environment, cwd="/"
        )

    done = as_nobody("host", "tune", "--max-cpu=20%")
    assert done.returncode == 1
    assert re.search(r"run: sudo \S+ host tune --max-cpu=20%", done.stderr)
    assert "expected: a full scan" in as_nobody("host", "tune", "--max-cpu=20%", "--dry-run").stdout


@pytest.mark.host_pids
def test_where_ksmd_runs(run: Run) -> None:
    """CPUs and priority of the thread are set without a rate, recorded, and put back."""
    (ksmd,) = [
        int(each.parent.name)
        for each in Path("/proc").glob("[0-9]*/comm")
        if each.read_text() == "ksmd\n" and not (each.parent / "cmdline").read_text()
    ]

    def thread() -> tuple[set[int], int, int]:
        nice = os.getpriority(os.PRIO_PROCESS, ksmd)
        return os.sched_getaffinity(ksmd), nice, os.sched_getscheduler(ksmd)

    before, tuned = thread(), tunables()
    one = max(os.sched_getaffinity(0))
    done = run("host", "tune", f"--cpus={one}", "--nice=19")
    assert done.returncode == 0, done.stderr
    assert thread() == ({one}, 19, os.SCHED_OTHER)
    assert tunables() == tuned
    assert "ksmd/nice: 5 -> 19" in done.stdout and "undo: " in done.stdout
    assert run("host", "tune", "--idle").returncode == 0
    assert thread()[2] == os.SCHED_IDLE
    shown = json.loads(run("host", "show", "--seconds=0", "--json").stdout)["ksmd_scheduling"]
    assert shown == {"cpus": str(one), "nice": 19, "policy": "idle"}
    said = run("host", "show", "--seconds=0").stdout
    assert f"ksmd runs on CPU {one} only, with the policy idle" in said
    assert run("host", "set", "ksmd/nice=7").returncode == 0
    refused = run("host", "tune", "--cpus=8191")
    assert refused.returncode == 2 and "not online" in refused.stderr
    assert run("host", "restore").returncode == 0
    assert thread() == before
    assert "ksmd runs " not in run("host", "show", "--seconds=0").stdout
    printed = run("host", "install", "--print", f"--cpus={one}", "--idle")
    (start,) = [line for line in printed.stdout.split("\n") if line.startswith("ExecStart=")]
    assert start.endswith(f" host set ksmd/cpus={one} ksmd/policy=idle")
