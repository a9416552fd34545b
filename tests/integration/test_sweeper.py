"""Marking from inside: what the shim's thread reaches, and what the program notices of it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from volume import volume
from waiting import LAST_RESORT_SECONDS, wait_until

from ksmrun.facts.maps import count_maps
from ksmrun.facts.process import read_sweeper

from .conftest import Programs, start_equal_programs, stop
from .test_guard import HOLD_MAPS
from .test_transparency import comparable

# And one at each eightfold size to which a program grows between sweeps.
MAPS_MORE_MAX = {"hold": 4, "brk": 4, "threads": 6, "grow": 6}
COVERAGE_MIN = 0.99
MARK_MIN_BYTES = 64 << 10


@pytest.fixture
def marked(ksmrun: str) -> tuple[str, ...]:
    return (ksmrun, "run", "--quiet", "--mechanism=mark", "--")


@contextlib.contextmanager
def ready(*command: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start the program, wait for its line "ready", and end it by closing its stdin."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, **options) as process:
        assert process.stdout is not None
        process.said = []  # type: ignore[attr-defined]
        for line in process.stdout:
            if line == "ready\n":
                break
            process.said.append(line.strip())  # type: ignore[attr-defined]
        yield process
        process.communicate(timeout=LAST_RESORT_SECONDS)
    assert process.returncode == 0


def vmas(pid: int) -> list[dict[str, Any]]:
    """Return the VMAs of /proc/PID/smaps: address, name, anonymous bytes, whether it is marked."""
    found: list[dict[str, Any]] = []
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first and not first.endswith(":"):
            start, end = (int(part, 16) for part in first.split("-"))
            name = rest[4] if len(rest) > 4 else ""
            found.append({"start": start, "end": end, "perms": rest[0], "name": name})
        elif first == "Anonymous:":
            found[-1]["anonymous"] = int(rest[0]) * 1024
        elif first == "VmFlags:":
            found[-1]["marked"] = "mg" in rest
    return found


def coverage(pid: int) -> float:
    """Return the marked share of the anonymous resident memory that may be marked."""
    wanted = [vma for vma in vmas(pid) if vma["name"] != "[stack]" and "w" in vma["perms"]]
    total = sum(int(vma["anonymous"]) for vma in wanted)
    return sum(int(vma["anonymous"]) for vma in wanted if vma["marked"]) / total


def sweeper_of(pid: int) -> int | None:
    """Return the thread's ID, if there is one."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "ksmrun-sweep":
            return int(task.name)
    return None


def has_marked(pid: int, bytes_min: int) -> bool:
    status = read_sweeper(Path("/proc") / str(pid))
    return status is not None and (status.marked_bytes or 0) >= bytes_min


@pytest.mark.parametrize(
    "arguments", [("hold", "8"), ("brk",), ("threads",), *(("grow", str(n)) for n in range(4))]
)
def test_all_is_marked_and_maps_stay_few(
    marked: tuple[str, ...], programs: Programs, arguments: tuple[str, ...]
) -> None:
    # The number of malloc's arenas depends on how threads meet, unless all of them are made.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
    with ready(programs.sweep, *arguments, env=environment) as direct:
        unwrapped = count_maps(Path("/proc") / str(direct.pid))
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


def test_the_thread_can_do_nothing_else(marked: tuple[str, ...], programs: Programs) -> None:
    """Its own descriptors, no signal, no capability, a filter; the program has none of that."""
    with ready(*marked, programs.sweep, "hold", "1") as process:
        wait_until(lambda: has_marked(process.pid, 1))
        thread = sweeper_of(process.pid)
        tasks = Path(f"/proc/{process.pid}/task")
        status = dict(
            line.split(":\t", 1)
            for line in (tasks / str(thread) / "status").read_text().splitlines()
        )
        # All but SIGKILL and SIGSTOP, which cannot be blocked.
        assert int(status["SigBlk"], 16) == (1 << 64) - 1 & ~(1 << 8 | 1 << 18)
        assert (status["CapPrm"], status["NoNewPrivs"], status["Seccomp"]) == ("0" * 16, "1", "2")
        files = {str(file.readlink()) for file in (tasks / str(thread) / "fd").iterdir()}
        own = (
            f"/proc/{process.pid}/task/{thread}/maps",
            f"/proc/{process.pid}/task/{thread}/statm",
        )
        stat = f"/proc/{process.pid}/stat"
        assert files == {*own, "/proc/sys/vm/max_map_count", "/memfd:ksmrun-sweep (deleted)", stat}
        main = (tasks / str(process.pid) / "status").read_text()
        assert "NoNewPrivs:\t0" in main and "Seccomp:\t0" in main


def test_the_program_sees_the_same(
    see: Callable[..., dict[str, Any]], marked: tuple[str, ...]
) -> None:
    """Except for one thread, and the environment, which --no-inherit restores."""
    direct = comparable(see())
    once = comparable(see((*marked[:-1], "--no-inherit", "--")))
    assert (direct["status"].pop("Threads"), once["status"].pop("Threads")) == ("1", "2")
    assert once == direct
    inherited = comparable(see(marked))
    added = {bytes.fromhex(e) for e in inherited["environment"]} - {
        bytes.fromhex(e) for e in direct["environment"]
    }
    assert {entry.partition(b"=")[0] for entry in added} == {b"LD_PRELOAD", b"KSMRUN_SHIM"}


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


ENDINGS = [
    "kill-filter",
    "kill-filter-tsync",
    "last-thread",
    "raw-exit",
    f"forks {volume(10_000)}",
    "mremap",
]
ENDINGS += ["quiet-child", "strict-child", "cancel-child"]
ENDINGS += ["privilege", "kill-tgkill-then-tsync", "listener", "child-of-raw-clone"]


@pytest.mark.parametrize("what", ENDINGS)
def test_the_program_ends_as_it_would(
    marked: tuple[str, ...], programs: Programs, what: str
) -> None:
    done = subprocess.run(
        [*marked, programs.sweep, *what.split()],
        capture_output=True,
        timeout=LAST_RESORT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("what", ["raw-exit-code", "strict"])
def test_exit_codes_stay(marked: tuple[str, ...], programs: Programs, what: str) -> None:
    """A process that ends by exit(2) alone ends when the sweeper sees that it is left alone."""
    done = subprocess.run([*marked, programs.sweep, what], timeout=LAST_RESORT_SECONDS, check=False)
    assert done.returncode == 7


def test_as_pid_1(marked: tuple[str, ...], programs: Programs) -> None:
    """A sandbox as first process of a container: its child in a new namespace is PID 1 too."""
    namespace = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    command = [*namespace, *marked, programs.sweep, "child-of-raw-clone"]
    assert subprocess.run(command, timeout=LAST_RESORT_SECONDS, check=False).returncode == 0


@pytest.mark.parametrize("call", ["126", "272"])
def test_an_inherited_filter_that_kills(ksmrun: str, programs: Programs, call: str) -> None:
    """capset, unshare: the thread would kill the program, so there is none."""
    done = subprocess.run(
        [programs.deny, f"kill:{call}", ksmrun, "run", "--mechanism=mark", "--", "echo", "started"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert "the shim starts no thread" in done.stderr


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


def test_no_room_for_the_thread(marked: tuple[str, ...], programs: Programs) -> None:
    """Without it nothing is marked, and the program runs."""
    limited = ("prlimit", "--as=10000000")
    with ready(*marked, *limited, programs.sweep, "hold", "1"):
        pass


def test_short_processes(
    marked: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand in a row, none lost, and nothing remains."""
    script = "i=0; while [ $i -lt 1000 ]; do /bin/echo $i; i=$((i + 1)); done"
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = set(Path("/tmp").glob("*ksm*"))
    done = subprocess.run([*marked, "sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(number) for number in range(1000)]
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
    assert set(Path("/tmp").glob("*ksm*")) == before


def test_exec_ends_it(marked: tuple[str, ...]) -> None:
    """The next program has its own thread, and no descriptor of the previous one's."""
    with ready(*marked, "sh", "-c", "sleep 0.3; exec sh -c 'echo ready; read x; :'") as process:
        wait_until(lambda: sweeper_of(process.pid) is not None)
        names = {str(file.readlink()) for file in Path(f"/proc/{process.pid}/fd").iterdir()}
        assert not any("maps" in name or "memfd" in name for name in names)


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
