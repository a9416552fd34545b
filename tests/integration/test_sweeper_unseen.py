"""A program with the shim's thread ends, execs and sees the same as without it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from volume import volume
from waiting import LAST_RESORT_SECONDS, wait_until

from .conftest import Programs
from .support.sweeping import (
    has_marked,
    marked,
    ready,
    sweeper_of,
)
from .test_transparency import comparable

__all__ = ["marked"]


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
    assert "kill the shim's thread" in done.stderr


def test_no_room_for_the_thread(marked: tuple[str, ...], programs: Programs) -> None:
    """Without it nothing is marked, and the program runs."""
    limited = ("prlimit", "--as=10000000")
    with ready(*marked, *limited, programs.sweep, "hold", "1"):
        pass


def test_short_processes(
    marked: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many in a row, none lost, and nothing remains."""
    count = volume(3000)
    script = f"i=0; while [ $i -lt {count} ]; do /bin/echo $i; i=$((i + 1)); done"
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = set(Path("/tmp").glob("*ksm*"))
    done = subprocess.run([*marked, "sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(number) for number in range(count)]
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
    # Folders are of other tests.
    assert [each for each in set(Path("/tmp").glob("*ksm*")) - before if not each.is_dir()] == []


def test_exec_ends_it(marked: tuple[str, ...]) -> None:
    """The next program has its own thread, and no descriptor of the previous one's."""
    with ready(*marked, "sh", "-c", "sleep 0.3; exec sh -c 'echo ready; read x; :'") as process:
        wait_until(lambda: sweeper_of(process.pid) is not None)
        names = {str(file.readlink()) for file in Path(f"/proc/{process.pid}/fd").iterdir()}
        assert not any("maps" in name or "memfd" in name for name in names)
