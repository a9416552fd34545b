"""The shim's thread in forked children, and after a program gives up privileges."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from compiled import compile_to
from waiting import LAST_RESORT_SECONDS, wait_until

from ksmrun.facts.launcher import LAUNCHER

from .conftest import SOURCES, Programs
from .support.sweeping import (
    has_marked,
    marked,
    ready,
    sweeper_of,
)

__all__ = ["marked"]

SHIM = LAUNCHER.parent / "shim/x86_64/libksmrun-preload.so"


@pytest.mark.parametrize("what", ["allow-filter-tsync", "unshare"])
def test_it_steps_aside_and_comes_back(
    marked: tuple[str, ...], programs: Programs, what: str
) -> None:
    with ready(*marked, programs.sweep, what) as process:
        wait_until(lambda: has_marked(process.pid, 8 << 20))


def test_children_are_marked(marked: tuple[str, ...], programs: Programs) -> None:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*marked, programs.sweep, "generations"], stdin=pipe, stdout=pipe, text=True
    )
    assert process.stdout is not None and process.stdin is not None
    child = int(process.stdout.readline())
    assert process.stdout.readline() == "ready\n"
    wait_until(lambda: has_marked(child, 8 << 20))
    process.stdin.close()
    process.wait()


def clones(ksmrun: str, mechanism: str, *command: str) -> int:
    """Return successful clone and clone3 calls of a program and of everything that it forks."""
    trace = ("strace", "-f", "-qq", "-c", "-e", "trace=clone,clone3", *command)
    run = (ksmrun, "run", "--quiet", f"--mechanism={mechanism}", "--", *trace)
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # "% time, seconds, usecs/call, calls, errors if there are any, syscall".
    rows = [line.split() for line in done.stderr.splitlines()]
    return sum(int(row[3]) for row in rows if row and row[-1] in ("clone", "clone3"))


@pytest.mark.parametrize("what", ["forks 50", "quiet-child"])
def test_a_child_that_never_grows_gets_no_thread(
    ksmrun: str, programs: Programs, what: str
) -> None:
    """One clone for the program's own sweeper, and one for each fork."""
    words = what.split()
    forks = int(words[1]) if len(words) > 1 else 1
    assert clones(ksmrun, "mark", programs.sweep, *words) == forks + 1


@pytest.mark.parametrize("kind", ["sweep", "sweep_musl", "sweep_32"])
def test_a_child_that_grows_by_malloc_is_marked(
    marked: tuple[str, ...], programs: Programs, kind: str
) -> None:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*marked, getattr(programs, kind), "grown-child"], stdin=pipe, stdout=pipe, text=True
    )
    assert process.stdout is not None and process.stdin is not None
    child = int(process.stdout.readline())
    assert process.stdout.readline() == "ready\n"
    wait_until(lambda: has_marked(child, 8 << 20))
    process.stdin.close()
    process.wait()


def test_a_real_time_program_has_no_real_time_sweeper(
    marked: tuple[str, ...], programs: Programs
) -> None:
    """It gives up its priority last, from within its filter."""
    real_time = ("chrt", "--fifo", "1")
    if subprocess.run([*real_time, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("real-time priority is not permitted here")
    with ready(*real_time, *marked, programs.sweep, "hold", "1") as process:
        wait_until(lambda: has_marked(process.pid, 1))
        thread = sweeper_of(process.pid)
        assert thread is not None
        assert os.sched_getscheduler(process.pid) == os.SCHED_FIFO
        assert os.sched_getscheduler(thread) == os.SCHED_OTHER


FORKING_PYTHON = """
import os, sys, threading, warnings
warnings.simplefilter("error")
held = bytearray(16 << 20)
pid = os.fork()
if pid == 0:
    held += bytearray(16 << 20)
    print(os.getpid(), flush=True)
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_forked_python(marked: tuple[str, ...]) -> None:
    with ready(*marked, sys.executable, "-c", FORKING_PYTHON) as process:
        (child,) = (int(text) for text in process.said)  # type: ignore[attr-defined]
        wait_until(lambda: has_marked(child, 32 << 20))


@pytest.fixture
def joined(launcher: str) -> tuple[str, ...]:
    """Have the thread join VMAs of a program that has the merge flag, as before Linux 6.17."""
    return (launcher, "--quiet", f"--preload={SHIM}", "--shim=join", "--")


def test_joining_steps_aside_and_comes_back(joined: tuple[str, ...], programs: Programs) -> None:
    for what in ("allow-filter-tsync", "unshare"):
        with ready(*joined, programs.sweep, what) as process:
            wait_until(lambda pid=process.pid: sweeper_of(pid) is not None)  # type: ignore[misc]


def test_a_child_that_grows_is_joined(joined: tuple[str, ...], programs: Programs) -> None:
    """The process that continues is the child; the test sees it end with its stdin."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*joined, programs.sweep, "grown-child"], stdin=pipe, stdout=pipe, text=True
    )
    assert process.stdout is not None and process.stdin is not None
    child = int(process.stdout.readline())
    assert process.stdout.readline() == "ready\n"
    wait_until(lambda: sweeper_of(child) is not None)
    process.stdin.close()
    process.wait()


def test_forks_at_once(marked: tuple[str, ...], programs: Programs) -> None:
    """Whoever forks sends the thread away, and it comes back after all of them."""
    program = programs.forks
    compile_to(Path(program), ["gcc", "-O1", "-pthread", "-rdynamic", SOURCES / "forks.c"])
    with ready(*marked, program) as process:
        wait_until(lambda: has_marked(process.pid, 16 << 20))


def test_calls_in_a_signal_handler(marked: tuple[str, ...], programs: Programs) -> None:
    """A handler that interrupts a call must not wait for what that call holds."""
    program = programs.interrupts
    compile_to(Path(program), ["gcc", "-O1", SOURCES / "interrupts.c"])
    subprocess.run([*marked, program], check=True, timeout=LAST_RESORT_SECONDS)


ANONYMOUS = """
from pathlib import Path
lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
ranges = [line[0].split("-") for line in lines if len(line) == 5]
print(sum(int(end, 16) - int(start, 16) for start, end in ranges))
"""


def test_nothing_is_left_where_it_cannot_start(launcher: str, programs: Programs) -> None:
    """Without MADV_WIPEONFORK, as before Linux 4.14 (28: madvise)."""
    command = [programs.deny, f"{errno.EINVAL}:28", launcher, "--quiet", "--merge=off"]
    command += [f"--preload={SHIM}"]
    without, with_words = (
        subprocess.run(
            [*command, *words, "--", sys.executable, "-SE", "-c", ANONYMOUS],
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for words in ((), ("--shim=mark",))
    )
    assert with_words == without


PRIVILEGES = """
import ctypes, os, sys
held = bytearray(8 << 20)
{drop}
held += bytearray(8 << 20)
print("ready", flush=True)
sys.stdin.read()
"""


# The main thread's user is another one than the sweeper's then. 251: ioprio_set(2), which has no
# function in libc; 2: of a process group; 2 << 13: IOPRIO_CLASS_BE.
PRIORITIES = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
os.setpgid(0, 0)
# No other process is of that user, or of that group.
os.setresuid(54321, 54321, 54321)
for which in (os.PRIO_PROCESS, os.PRIO_PGRP, os.PRIO_USER):
    try:
        os.setpriority(which, 0, -10)
    except OSError as error:
        print(which, error.strerror)
print(libc.syscall(251, 2, 0, 2 << 13), ctypes.get_errno())
print(os.getpriority(os.PRIO_PGRP, 0))
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number is of x86_64")
def test_priorities_of_a_group(marked: tuple[str, ...]) -> None:
    direct, wrapped = (
        subprocess.run(
            [*prefix, sys.executable, "-c", PRIORITIES], capture_output=True, text=True, check=True
        ).stdout
        for prefix in ((), marked)
    )
    assert wrapped == direct
    assert "1 Permission denied\n" in direct


@pytest.mark.parametrize(
    "drop",
    [
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)",
        "os.chroot(sys.argv[1]); os.chdir('/')",
        "os.closerange(3, 1 << 16)",
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))",
        "os.setsid() if os.fork() == 0 else os._exit(0)",
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
    ],
)
def test_marking_goes_on_after(marked: tuple[str, ...], tmp_path: Path, drop: str) -> None:
    code = PRIVILEGES.format(drop=drop).replace('"ready"', 'str(os.getpid()) + "\\nready"')
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*marked, sys.executable, "-c", code, tmp_path], stdin=pipe, stdout=pipe, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    pid = int(process.stdout.readline())
    assert process.stdout.readline() == "ready\n"
    wait_until(lambda: has_marked(pid, 16 << 20))
    process.stdin.close()
    process.wait()
