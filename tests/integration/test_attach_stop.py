"""Programs that are stopped to be attached to do not notice."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from compiled import compile_to
from waiting import wait_until

from ksmrun.attach.running import HELPER

from .conftest import SOURCES, Programs
from .support.attaching import TOO_BUSY, Begin, begin, deed, deed_done, merges, sources

__all__ = ["begin", "sources"]

# Every call in which a program may wait.
CALLS = (
    *("read", "accept", "epoll_wait", "epoll_wait_timed", "epoll_pwait", "futex", "futex_timed"),
    *("nanosleep", "clock_nanosleep", "poll", "poll_timed", "ppoll", "select", "pselect"),
    *("recvmmsg", "recv_timed", "semop", "semtimedop", "msgrcv", "waitid", "pause", "sigsuspend"),
    *("sigtimedwait", "io_uring_enter", "readv_timed", "write_timed"),
)
WAIT_MS = 400
# arch/x86/entry/syscalls/syscall_64.tbl
EPOLL_WAIT = 232


def again_and_again(process: subprocess.Popen[str]) -> int:
    """Attach and detach repeatedly until it ends; return how often that was done."""
    times = done = 0
    while process.poll() is None:
        (outcome,) = deed("off" if times % 2 else "on", process.pid)
        assert outcome in {"done", "gone", *TOO_BUSY}
        times += 1
        done += outcome == "done"
    return done


@pytest.mark.parametrize("call", CALLS)
def test_waiting_calls_go_on_waiting(sources: Programs, begin: Begin, call: str) -> None:
    """The result is correct and in time, as if nothing had happened."""
    line = [sources.blocked, call, str(WAIT_MS)]
    alone = subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()
    expected = [alone[1:3]]
    if call == "futex":
        # Restarted after the word has changed, as after any stop (futex(2)).
        expected.append(["-1", "EAGAIN"])

    def is_in_time() -> bool:
        process = begin(*line)
        is_stopped = again_and_again(process) > 0
        assert process.stdout is not None
        answer, error, *when = process.stdout.read().split()
        assert [answer, error] in expected
        assert process.returncode == 0
        assert when in (["in", "time"], ["late"])
        return is_stopped and when != ["late"]

    # On a busy machine it may be late by itself, or not be stopped in time; a timeout that starts
    # again is late each time.
    assert any(is_in_time() for _ in range(5))


@pytest.mark.parametrize("kind", ["steady", "steady_static"])
def test_registers_and_signals(sources: Programs, begin: Begin, kind: str) -> None:
    """Sums in vector and other registers, under a storm of signals, none of which is lost."""
    process = begin(getattr(sources, kind), "2")
    assert again_and_again(process) > 1
    assert process.stdout is not None
    assert process.stdout.read() == "wrong 0 lost 0 alarms come\n"


def test_a_restartable_sequence(sources: Programs, begin: Begin) -> None:
    """It is still aborted: the kernel forgets the one in which a call is made."""
    process = begin(sources.sequence)

    def aborts() -> int:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("?\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    for number in range(100):
        deed_done("off" if number % 2 else "on", process.pid)
    before = aborts()
    wait_until(lambda: aborts() > before)


def test_a_signal_while_it_is_stopped(sources: Programs, begin: Begin) -> None:
    """Its handler runs, and the waiting call fails with EINTR, as without the stop."""
    process = begin(sources.interrupted)
    assert process.stdout is not None
    again = f"while :; do {HELPER} on {process.pid}; {HELPER} off {process.pid}; done"
    line = ["sh", "-c", again]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, start_new_session=True) as attaching:
        try:
            for number in range(1, 101):
                call = Path(f"/proc/{process.pid}/syscall")
                wait_until(lambda call=call: call.read_text().startswith(f"{EPOLL_WAIT} "))  # type: ignore[misc]
                time.sleep(random.uniform(0, 0.004))
                process.send_signal(signal.SIGUSR1)
                ready, _, _ = select.select([process.stdout], [], [], 5)
                assert ready, "the signal did not end the call"
                assert process.stdout.readline() == f"{number}\n"
        finally:
            os.killpg(attaching.pid, signal.SIGKILL)


def test_ended_by_another_thread_meanwhile(sources: Programs, begin: Begin) -> None:
    """That does no harm."""
    for _ in range(100):
        process = begin(sources.ends, "20")
        while process.poll() is None:
            for word in ("on", "off"):
                (outcome,) = deed(word, process.pid)
                assert outcome in {"done", "gone", *TOO_BUSY}


def test_a_child_of_vfork(begin: Begin) -> None:
    """It shares its parent's memory."""
    code = (
        "import ctypes, os, time\nlibc = ctypes.CDLL(None)\nprint('ready', flush=True)\n"
        # clone(CLONE_VM | SIGCHLD) like vfork, but both go on: enough to share memory.
        "import threading\n"
        "pid = libc.syscall(56, 0x4111, 0, 0, 0, 0)\n"
        "if pid == 0: libc.pause()\nlibc.pause()\n"
    )
    process = begin(sys.executable, "-c", code)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_until(lambda: bool(children.read_text()))
    child = int(children.read_text())
    try:
        assert deed("on", child) == ["shared"]
        assert not merges(process.pid)
    finally:
        os.kill(child, signal.SIGKILL)


def test_32_bit(sources: Programs, begin: Begin) -> None:
    options = ["-m32", "-mno-avx", "-idirafter", "/usr/include/x86_64-linux-gnu"]
    target = sources.folder / "steady_32"
    compile_to(target, ["gcc-12", "-O1", "-w", *options, SOURCES / "steady.c"])
    process = begin(str(target), "1")
    assert deed("on", process.pid) == ["other-bits"]
    assert process.stdout is not None
    assert process.stdout.read() == "wrong 0 lost 0 alarms come\n"
