"""`ksmrun check`, `ps` and what all commands share, on this host's real KSM."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from .conftest import Run, start_equal_programs, stop, value


def test_check_of_a_foreign_program(run: Run, tmp_path: Path) -> None:
    source, program = tmp_path / "x.c", tmp_path / "x"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["aarch64-linux-gnu-gcc", "-o", program, source], check=True)
    done = run("check", "--json", "--", str(program))
    assert done.returncode == 1
    (row,) = [row for row in json.loads(done.stdout)["rows"] if row["item"] == "program"]
    assert row["status"] == "fail"
    assert "built for aarch64, this is x86_64" in row["found"]


def test_check_of_a_java_heap_in_shared_memory(run: Run) -> None:
    found = json.loads(run("check", "--json", "--", "java", "-XX:+UseZGC", "H").stdout)
    (row,) = [row for row in found["rows"] if row["item"] == "runtime"]
    assert row["status"] == "warn"
    assert "shared memory" in row["found"]
    assert found["runtime"]["gains"] is None


@pytest.mark.host_ksm
def test_check(run: Run, launcher: str) -> None:
    done = run("check")
    assert done.returncode == 1
    # With the path, because sudo does not search virtual environments.
    assert re.search(
        r"Nothing would merge: off \(run=0\); to do: sudo \S*/ksmrun host on\n", done.stdout
    )
    run("host", "on")
    done = run("check", "--json", "--", "python3", "-c", "pass")
    found = json.loads(done.stdout)
    assert done.returncode == 0, found
    assert found["merges"] is True
    assert found["target"]["libc"] == "glibc"
    assert found["command_line"] == f"{launcher} --merge=on -- python3 -c pass"
    assert {row["status"] for row in found["rows"]} <= {"ok", "warn"}
    assert run("check", "--", "no-such-command").returncode == 1


@pytest.mark.host_ksm
def test_ps(run: Run, launcher: str, ps_of_nobody: tuple[str, ...]) -> None:
    assert "no merge-enabled process" in run("ps").stdout
    programs = start_equal_programs(launcher, 3)
    try:
        run("host", "set", "pages_to_scan=100000", "sleep_millisecs=0", "run=1")
        pids = {program.pid for program in programs}
        wait_until(lambda: int(value("pages_sharing")) > 2 * (8 << 20) // 4096)
        # The last pages merge while we look; then all counters stay the same.
        run("host", "off")
        found = json.loads(run("ps", "--json").stdout)
        assert {process["pid"] for process in found["processes"]} == pids
        for process in found["processes"]:
            assert process["merging_pages"] >= (8 << 20) // 4096
            assert process["enabled_by"] == "prctl"
            assert process["rss_bytes"] > process["pss_bytes"] > 0
            assert 0 < process["uss_bytes"] < process["pss_bytes"]
        # One of the three may be unmerged, with its 8 MiB.
        (row,) = json.loads(run("ps", "--json", "--by", "executable").stdout)["groups"]
        assert row["copy_bytes"] < row["pss_bytes"] / 3
        assert row["rss_bytes"] / 3 > row["request_bytes"] > (row["pss_bytes"] + (8 << 20)) / 3
        profits = sum(each["profit_bytes"] for each in found["processes"])
        assert profits == found["total_profit_bytes_max"] > found["total_profit_bytes_min"] > 0
        # None where programs of the tests beside this one have merged too.
        if found["total_profit_bytes"] is not None:
            # Against the kernel's own total, which counts the metadata of all processes too.
            assert abs(found["total_profit_bytes"] - int(value("general_profit"))) < 1 << 20
            assert profits > found["total_profit_bytes"]
        text = run("ps").stdout
        assert all(str(pid) in text for pid in pids)
        assert "3 processes; together they save" in text
        # Another user sees that there is more than they may read.
        done = subprocess.run(ps_of_nobody, capture_output=True, text=True, check=True)
        assert "could not be read" in done.stdout
        assert "sudo" in done.stdout
    finally:
        stop(programs)


def test_ps_while_processes_come_and_go(run: Run, launcher: str) -> None:
    churn = f"for i in $(seq 2000); do {launcher} --quiet -- true; done"
    process = subprocess.Popen(["sh", "-c", churn], start_new_session=True)
    try:
        for _ in range(8):
            assert run("ps").returncode == 0
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# Modules that take longer to import than a command may take.
SLOW = {"typer", "rich", "psutil", "elftools", "pydantic", "ast", "subprocess", "bz2", "tokenize"}


@pytest.mark.parametrize(
    "line",
    ["--version", "--help", "ps --help", "completion bash", "run --dry-run true", "host show"],
)
def test_commands_start_quickly(ksmrun: str, line: str) -> None:
    # The first launch of a boot probes the kernel.
    subprocess.run([ksmrun, "run", "true"], check=True)
    script = Path(ksmrun).with_name(".ksmrun-py")
    found = subprocess.run(
        [sys.executable, "-E", "-P", "-v", script, *line.split()],
        check=True,
        capture_output=True,
        text=True,
    )
    imported = set(re.findall(r"^import '?([\w.]+)", found.stderr, re.MULTILINE))
    assert "ksmrun" in imported and not SLOW & imported


@pytest.mark.parametrize("option", ["--help", "--version", "--probe"])
@pytest.mark.parametrize("sink", [">/dev/full", ">&-"])
def test_output_of_the_launcher_that_cannot_be_written(
    launcher: str, option: str, sink: str
) -> None:
    line = f"{shlex.quote(launcher)} {option} {sink}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert done.stderr.startswith("ksmrun-exec: cannot write to stdout: ")


@pytest.mark.parametrize("sink", ["2>/dev/full", "2>&-"])
def test_a_complaint_that_cannot_be_written(ksmrun: str, sink: str) -> None:
    line = f"{shlex.quote(ksmrun)} frob {sink}"
    assert subprocess.run(["sh", "-c", line], capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize("sink", [">/dev/full", ">&-", "2>&-", ">&- 2>&-"])
def test_output_that_cannot_be_written(ksmrun: str, sink: str) -> None:
    commands = ("ps", "check", "host show", "host show --json", "--help", "--version", "run --help")
    for command in (*commands, "run --dry-run -- x"):
        line = f"{shlex.quote(ksmrun)} {command} {sink}"
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, (command, done.stderr)
        assert len(done.stderr.splitlines()) <= 1
        if sink == ">/dev/full":
            assert "No space left on device" in done.stderr
        if sink in (">/dev/full", ">&-"):
            assert done.returncode, command
            assert "cannot write to stdout: " in done.stderr
            assert "; check what stdout is connected to" in done.stderr
