"""ps, explain and --verify show which group's layout a process has, to users who have the keys."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from compiled import compile_to
from waiting import LAST_RESORT_SECONDS, wait_until

from .conftest import SOURCES
from .support.layouts import folder, key, keys, launch, user

__all__ = ["folder", "key", "keys", "launch"]


@contextmanager
def started(*command: str) -> Iterator[int]:
    """Launch `cat`, which waits, and return its PID."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "cat\n")
        wait_until(lambda: "TracerPid:\t0\n" in Path(f"/proc/{process.pid}/status").read_text())
        yield process.pid
    finally:
        process.communicate(timeout=LAST_RESORT_SECONDS)


def test_ps_and_explain(ksmrun: str) -> None:
    shared = (ksmrun, "run", "--quiet", "--layout=shared")
    with ExitStack() as stack:
        pids = {
            group: stack.enter_context(started(*shared, *option, "--", *wrapper, "cat"))
            for group, option, wrapper in (
                ("games", ("--layout-group=games",), ()),
                ("other", ("--layout-group=other",), ("env", "A=1")),
                ("default", (), ("perl", "-e", "exec @ARGV")),
            )
        }
        plain = stack.enter_context(started(ksmrun, "run", "--quiet", "--", "cat"))
        done = subprocess.run([ksmrun, "ps", "--json"], capture_output=True, text=True, check=True)
        found = {row["pid"]: row["layout_group"] for row in json.loads(done.stdout)["processes"]}
        assert {group: found[pid] for group, pid in pids.items()} == {g: g for g in pids}
        assert found[plain] is None
        command = [ksmrun, "ps", "--format=tsv"]
        table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert table.splitlines()[0].split("\t")[-1] == "layout"

        def explained(pid: int) -> str:
            command = [ksmrun, "explain", str(pid), "--seconds=0.1"]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        assert "its group's, games" in explained(pids["games"])
        assert "random, or that of a group" in explained(plain)


@pytest.mark.parametrize("deleted", ["the key", "its folder"])
def test_a_key_that_was_deleted(
    ksmrun: str, keys: Path, deleted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next launch says so, once; explain says so of what was started before."""
    # Of so many folders the last are remembered, and other tests have theirs.
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(tmp_path / "state"))
    shared = (ksmrun, "run", "--layout=shared", "--")

    def launched() -> str:
        return subprocess.run([*shared, "true"], capture_output=True, text=True, check=True).stderr

    def explained(pid: int) -> str:
        command = [ksmrun, "explain", str(pid), "--seconds=0.1"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return " ".join(done.stdout.split())

    with started(*shared, "cat") as before:
        if deleted == "the key":
            (keys / "master.key").unlink()
        else:
            shutil.rmtree(keys)
        assert f"the key in {keys} was deleted" in explained(before)
        # A process is as old as a tick of the clock.
        time.sleep(1)
        assert f"the layout key in {keys} was deleted since boot" in launched()
        assert "was deleted" not in launched()
        with started(*shared, "cat") as after:
            assert "its group's, default" in explained(after)
        assert "start the programs of its group again, together" in explained(before)
    # What is meant is no loss.
    subprocess.run([ksmrun, "layout", "rotate"], check=True)
    assert "was deleted" not in launched()


# Has a worker with its own addresses.
FORKS = "import os, time; os.fork(); time.sleep(1000)"


@pytest.mark.own_pids
def test_status_names_those_whose_key_was_deleted(
    ksmrun: str, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(tmp_path / "state"))

    def row() -> tuple[str, str]:
        done = subprocess.run([ksmrun, "status", "--json"], capture_output=True, check=False)
        (found,) = [each for each in json.loads(done.stdout)["rows"] if each["name"] == "layout"]
        return found["state"], found["found"]

    shared = (ksmrun, "run", "--layout=shared", "--")
    plain = (ksmrun, "run", "--", sys.executable, "-c", FORKS)
    with ExitStack() as stack:
        for _ in range(2):
            worker = stack.enter_context(subprocess.Popen(plain, process_group=0))
            stack.callback(os.killpg, worker.pid, signal.SIGKILL)
        with started(*shared, "cat") as one, started(*shared, "cat") as two:
            assert row()[0] == "ok"
            (keys / "master.key").unlink()
            state, found = row()
            assert state == "TODO" and found.endswith(f"differ from PID {min(one, two)} and 1 more")
            # Later copies have a key.
            for _ in range(2):
                stack.enter_context(started(*shared, "cat"))
            assert row() == (state, found)
        assert row()[0] == "ok"


def test_nobody_without_the_key_can_tell(
    ksmrun: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with started(ksmrun, "run", "--quiet", "--layout=shared", "--", "cat") as pid:
        monkeypatch.setenv("KSMRUN_LAYOUT_DIR", str(tmp_path / "others"))
        command = [ksmrun, "explain", str(pid), "--seconds=0.1"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "random, or that of a group whose key is not here" in done.stdout


def test_verify(ksmrun: str) -> None:
    shared = (ksmrun, "run", "--verify", "--layout=shared", "--")
    done = subprocess.run([*shared, "sleep", "2"], capture_output=True, text=True, check=True)
    assert "has the shared layout of its group" in done.stderr
    limited = ("prlimit", "--as=9000000000", "sleep", "2")
    done = subprocess.run([*shared, *limited], capture_output=True, text=True, check=True)
    assert "its address space is limited" in done.stderr


def test_verify_waits_for_what_cannot_be_read_yet(launcher: str, folder: Path) -> None:
    """As while a process is being moved, and its stack has no name in /proc/PID/maps."""
    program = folder / "hides"
    compile_to(program, ["gcc", "-O1", SOURCES / "hides.c"])
    _, wrapped = user(launcher, folder, "--verify")
    done = subprocess.run([*wrapped, "--", program], capture_output=True, text=True, check=True)
    assert "has the shared layout of its group" in done.stderr, done


@pytest.mark.parametrize(
    "word", ["", "x", "12x", "-1", "0", "99999999999", "1 ", " 1", "+1", "0x1"]
)
def test_a_check_of_what_is_no_pid(launcher: str, key: str, word: str) -> None:
    pid = str(os.getpid())
    command = [launcher, f"--layout-key={key}", "--layout-check", "--", pid, word, pid]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (125, f"{pid} no\n")
    assert f"'{word}' is no PID" in done.stderr and done.stderr.count("\n") == 1


def test_a_check_that_cannot_be_written(launcher: str, key: str) -> None:
    command = [launcher, f"--layout-key={key}", "--layout-check", "--", "1"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 125 and "No space left on device" in done.stderr
