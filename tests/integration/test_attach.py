"""`ksmrun attach` and `detach`: running programs merge, and do not notice."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from ksm_at_boot import ksmd_pid
from ports import free_port
from volume import volume
from waiting import wait_until

from ksmrun.attach.running import HELPER

from .conftest import Group, Programs, Run, start_equal_programs, stop, value
from .support.attaching import Begin, begin, deed, deed_done, merges, sources

__all__ = ["begin", "sources"]

REQUESTS = str(volume(200_000))
PLAIN = ("sh", "-c", 'exec "$@"', "sh")
DENIES_PRCTL = """
import ctypes, struct, time
# ld [0]; jeq 157 (prctl): errno EPERM, else allow.
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 157), (6, 0, 0, 0x50001), (6, 0, 0, 0x7fff0000)]
filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in code))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(filters)))
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, program, 0, 0) == 0
print("ready", flush=True)
time.sleep(1000)
"""
# PR_SET_SYSCALL_USER_DISPATCH, with a selector that lets all calls through.
CATCHES_CALLS = """
import ctypes, sys
selector = ctypes.create_string_buffer(1)
libc = ctypes.CDLL(None)
assert libc.prctl(59, 1, 0, 0, selector) == 0
print("ready", flush=True)
sys.stdin.readline()
selector.value = b"\1"
libc.getppid()
print('not caught')
"""
ALLOWS_PRCTL = DENIES_PRCTL.replace("jeq 157", "jeq 101").replace("1, 157", "1, 101")


def shared_kib(pid: int) -> int:
    """Return its merged memory; ksmd updates the counters when it comes by (mm/ksm.c)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.split("\nKSM:")[1].split()[0])


def merged_pages(pid: int) -> int:
    return int(Path(f"/proc/{pid}/ksm_merging_pages").read_text())


@pytest.mark.usefixtures("ksm_on")
def test_programs_begin_and_cease_to_merge(run: Run) -> None:
    programs = start_equal_programs("", 2, command=PLAIN)
    pids = [program.pid for program in programs]
    words = list(map(str, pids))
    try:
        planned = run("attach", "--dry-run", *words)
        assert planned.stdout.count("would be done") == 2
        assert not any(map(merges, pids))
        done = run("attach", *words)
        assert done.returncode == 0, done.stderr
        assert re.search(
            r"2 attached; stopped for \d+ µs in the median, \d+ µs at most", done.stdout
        )
        assert all(map(merges, pids))
        wait_until(lambda: min(map(merged_pages, pids)) > 2000)
        assert run("attach", *words).stdout.count("already attached") == 2
        found = json.loads(run("detach", "--json", *words).stdout)
        assert [(each["done"], each["why"]) for each in found["results"]] == [(True, "")] * 2
        assert not any(map(merges, pids))
        # Unmerged at once, by the call itself.
        assert max(map(shared_kib, pids)) == 0
    finally:
        stop(programs)


@pytest.mark.host_ksm
@pytest.mark.usefixtures("ksm_on")
def test_memory_that_does_not_fit(run: Run, group: Group, launcher: str) -> None:
    programs = start_equal_programs(launcher, 2, mib=32)
    words = [str(program.pid) for program in programs]
    try:
        for program in programs:
            group.take(program.pid)
        wait_until(lambda: int(value("pages_sharing")) > 8000)
        group.limit(16 << 20)
        done = run("detach", *words)
        assert done.returncode == 1
        assert group.folder.name in done.stderr
        assert all(merges(program.pid) for program in programs)
        group.limit(1 << 30)
        assert run("detach", *words).returncode == 0
    finally:
        stop(programs)


def test_selected(run: Run, begin: Begin) -> None:
    """Selected by a mark in the command line, together with its children."""
    mark = f"mark-{os.getpid()}-{time.monotonic_ns()}"
    child = "import subprocess, sys; print('ready', flush=True); subprocess.run(['sleep', '1000'])"
    process = begin(sys.executable, "-c", child, mark)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_until(lambda: bool(children.read_text()))
    below = int(children.read_text())
    try:
        assert run("attach", "--match", mark).returncode == 0
        assert (merges(process.pid), merges(below)) == (True, False)
        assert run("attach", "--match", mark, "--tree").returncode == 0
        assert merges(below)
    finally:
        os.kill(below, signal.SIGKILL)


def test_traced_stopped_ended_or_the_kernels(run: Run, begin: Begin) -> None:
    process = begin("sh", "-c", "echo ready; exec sleep 1000")
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: "T (stopped)" in Path(f"/proc/{process.pid}/status").read_text())
    done = run("attach", str(process.pid))
    assert done.returncode == 1
    assert "it is stopped (SIGSTOP); continue it with kill -CONT" in done.stdout
    assert deed("on", process.pid) == ["stopped"]
    process.send_signal(signal.SIGCONT)
    tracer = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-p", str(process.pid)])
    try:
        wait_until(lambda: "TracerPid:\t0" not in Path(f"/proc/{process.pid}/status").read_text())
        done = run("attach", str(process.pid))
        said = re.sub(r"\s+", " ", done.stdout)
        assert f"PID {tracer.pid} traces it; detach that debugger" in said
        assert deed("on", process.pid) == ["not-permitted"]
    finally:
        tracer.terminate()
        tracer.wait()
    assert run("attach", str(process.pid)).returncode == 0
    process.kill()
    wait_until(lambda: "Z (zombie)" in Path(f"/proc/{process.pid}/status").read_text())
    assert "it has ended" in run("attach", str(process.pid)).stdout
    assert "kernel thread" in run("attach", str(ksmd_pid())).stdout
    done = run("attach", "4194303")
    assert (done.returncode, "there is no process 4194303" in done.stderr) == (1, True)


def left_alone(run: Run, pid: int) -> str:
    """Return the reason why a process is left alone."""
    done = run("attach", str(pid))
    assert done.returncode == 1 and not merges(pid)
    return re.sub(r"\s+", " ", done.stdout)


def test_filters(run: Run, begin: Begin) -> None:
    """A filter that denies the call is recognised without trying."""
    denied = begin(sys.executable, "-c", DENIES_PRCTL)
    assert "this user cannot read the filter" in left_alone(run, denied.pid)
    allowed = begin(sys.executable, "-c", ALLOWS_PRCTL)
    assert run("attach", str(allowed.pid)).returncode == 0
    assert merges(allowed.pid)


def test_one_that_catches_its_calls(run: Run, begin: Begin) -> None:
    process = begin(sys.executable, "-c", CATCHES_CALLS)
    assert "it intercepts its own system calls" in left_alone(run, process.pid)
    # It still catches them, and has no handler for that.
    process.communicate("go\n")
    assert process.returncode == -signal.SIGSYS


def test_another_user(begin: Begin) -> None:
    process = begin("sh", "-c", "echo ready; exec sleep 1000")
    helper = Path("/tmp") / f"ksmrun-attach-{os.getpid()}"
    helper.write_bytes(HELPER.read_bytes())
    helper.chmod(0o755)
    try:
        as_nobody = ["setpriv", "--reuid=65534", "--clear-groups", str(helper)]
        done = subprocess.run(
            [*as_nobody, "on", str(process.pid)], capture_output=True, text=True, check=True
        )
        assert done.stdout.split()[1] == "not-permitted"
    finally:
        helper.unlink()


def test_redis_under_load(tmp_path: Path) -> None:
    """No request fails, however often it is attached to and detached from."""
    port = free_port()
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    try:
        wait_until(lambda: answers(port))
        load = subprocess.Popen(
            ["redis-benchmark", "-p", str(port), "-n", REQUESTS, "-c", "20", "-q", "-t", "get,set"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        times = 0
        while load.poll() is None:
            deed_done("off" if times % 2 else "on", server.pid)
            times += 1
        assert load.stdout is not None
        said = load.stdout.read()
        assert load.returncode == 0, said
        assert "requests per second" in said
        assert "rror" not in said
        assert times > 1
        assert answers(port)
    finally:
        server.terminate()
        server.wait()


def answers(port: int) -> bool:
    command = ["redis-cli", "-p", str(port), "ping"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout == "PONG\n"


def test_ksmrun_killed(ksmrun: str, begin: Begin, sources: Programs) -> None:
    """Its helper, in a session of its own, completes what it has begun."""
    process = begin(sources.steady, "6")
    kills = 0
    while process.poll() is None:
        word = "detach" if merges(process.pid) else "attach"
        line: Sequence[str] = [ksmrun, word, str(process.pid)]
        attaching = subprocess.Popen(line, stdout=subprocess.DEVNULL, start_new_session=True)
        children = Path(f"/proc/{attaching.pid}/task/{attaching.pid}/children")
        # It lives for a few ms, and may have come and gone unnoticed.
        while not (helpers := children.read_text().split()) and attaching.poll() is None:
            time.sleep(1e-4)
        for pid in helpers:
            helper = Path(f"/proc/{pid}")
            # From its exec on: before that it belongs to the group that is killed.
            with suppress(OSError):
                while (helper / "comm").read_text() != "ksmrun-attach\n":
                    time.sleep(1e-4)
                os.killpg(attaching.pid, signal.SIGKILL)
                kills += 1
            wait_until(lambda helper=helper: not helper.exists())  # type: ignore[misc]
        attaching.wait()
        seen = merges(process.pid)
        # When it ends it has nothing to merge any more.
        assert process.poll() is not None or seen == (word == "attach")
    assert kills > 0
    assert process.stdout is not None
    assert process.stdout.read() == "wrong 0 lost 0 alarms come\n"
