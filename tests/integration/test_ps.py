"""`ksmrun ps`: groups, VMA counts, repeated output, and reused PIDs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from waiting import wait_until

from ksmrun.facts.host import read_host
from ksmrun.facts.maps import count_maps
from ksmrun.observe import processes as observed
from ksmrun.observe.processes import ProcessWatch

from .conftest import Run, Start

pytestmark = pytest.mark.own_pids

# Adjacent mappings of different protection stay apart.
MANY_MAPS = """
import mmap
maps = [mmap.mmap(-1, 4096, prot=1 + 2 * (number % 2)) for number in range(600)]
print("ready", flush=True)
input()
"""


def rows(run: Run, *options: str) -> dict[str, list[int]]:
    groups = json.loads(run("ps", "--json", *options).stdout)["groups"]
    return {row["name"]: row["pids"] for row in groups}


def test_groups(run: Run, start: Start, launcher: str, nobody: tuple[str, ...]) -> None:
    cats = [start("cat").pid for _ in range(2)]
    head = start("head", prefix=(launcher, "--quiet", "--", *nobody)).pid
    wait_until(lambda: Path(f"/proc/{head}/comm").read_text() == "head\n")
    assert rows(run, "--by", "command") == {"cat": sorted(cats), "head": [head]}
    assert rows(run, "--by", "executable") == {
        str(Path("/bin/cat").resolve()): sorted(cats),
        str(Path("/usr/bin/head").resolve()): [head],
    }
    assert rows(run, "--by", "user") == {"nobody": [head], "root": sorted(cats)}
    assert len(rows(run, "--by", "process")) == 3
    done = run("ps", "--by", "command", "--sort", "processes", "--format", "tsv")
    lines = [line.split("\t")[:2] for line in done.stdout.splitlines()]
    assert lines == [["processes", "command"], ["2", "cat"], ["1", "head"]]


@pytest.mark.host_ksm
def test_maps_and_headroom(run: Run, start: Start) -> None:
    few = start("cat")
    many = start(sys.executable, "-c", MANY_MAPS)
    assert many.stdout is not None
    assert many.stdout.read(5) == b"ready"
    found = json.loads(run("ps", "--json").stdout)
    limit = int(Path("/proc/sys/vm/max_map_count").read_text())
    for process in found["processes"]:
        maps = len(Path(f"/proc/{process['pid']}/maps").read_text().splitlines())
        assert (process["maps"], process["headroom_maps"]) == (maps, limit - maps)
    lines = run("ps", "--sort", "headroom", "--format=tsv").stdout.splitlines()
    head, *rows = [line.split("\t") for line in lines]
    assert [int(row[0]) for row in rows] == [many.pid, few.pid]
    assert int(rows[0][head.index("maps")]) > 600


def test_watch(run: Run, start: Start, ksmrun: str) -> None:
    """A line each time, with new processes and without ended ones."""
    first = start("cat")
    command = [ksmrun, "ps", "--json", "--watch", "0.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None

        def pids() -> set[int]:
            assert watching.stdout is not None
            line = json.loads(watching.stdout.readline())
            return {process["pid"] for process in line["processes"]}

        assert pids() == {first.pid}
        second = start("cat")
        wait_until(lambda: pids() == {first.pid, second.pid})
        first.kill()
        first.wait()
        wait_until(lambda: pids() == {second.pid})
        # As by Ctrl-C, and without a message.
        watching.send_signal(2)
        assert watching.wait() == -2
    assert run("ps", "--watch", "0").returncode == 2


def test_what_costs_much_is_not_read_each_time(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []

    def count(folder: Path) -> int:
        counted.append(folder)
        return count_maps(folder)

    monkeypatch.setattr(observed, "count_maps", count)
    pid = start("cat").pid
    watch, host = ProcessWatch(), read_host()
    looks = [watch.look(host) for _ in range(4)]
    assert len(counted) == 1
    for look in looks:
        (process,) = look.processes
        assert process.pid == pid
        assert process.pss_bytes
        assert process.maps


def test_a_pid_that_is_used_again(start: Start) -> None:
    """Reused by a program that does not merge, then by one that does, but is another."""
    first = start("cat")
    watch, host = ProcessWatch(), read_host()
    (before,) = watch.look(host).processes
    second = again(first, start, "tac")
    (found,) = watch.look(host).processes
    assert found.identity.name == "tac"
    assert found.identity.start_ticks > before.identity.start_ticks
    # Values known only of the other one are not used for it.
    assert found.maps is None
    again(second, start, "tac", prefix=("env",))
    assert watch.look(host).processes == ()


def again(
    process: subprocess.Popen[bytes], start: Start, name: str, **options: Sequence[str]
) -> subprocess.Popen[bytes]:
    """Start another process with this PID: the next is ns_last_pid + 1 (pid_namespaces(7))."""
    process.kill()
    process.wait()
    # Start times are in ticks: the next program must have another one.
    time.sleep(2 / os.sysconf("SC_CLK_TCK"))
    for _ in range(1000):
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(process.pid - 1))
        other = start(name, **options)
        if other.pid == process.pid:
            return other
        other.kill()
        other.wait()
    raise AssertionError("the PID was not given again")


def test_an_ended_process_is_left_out(start: Start) -> None:
    """Also one that nobody has reaped."""
    process = start("cat")
    watch, host = ProcessWatch(), read_host()
    assert len(watch.look(host).processes) == 1
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert watch.look(host).processes == ()
