"""`ksmrun explain`: each cause, brought about by a real program."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from ksmrun.model.errors import KsmrunError
from ksmrun.observe.inspect import look_at_process

from .conftest import Programs, Run, Start, value

MIB = 1 << 20
HEAD = "import mmap, random\nprivate = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS\n"
END = "print('ready', flush=True)\ninput()\n"
CODES = {
    "unique": "data = random.randbytes(24 << 20)\n",
    "equal": "random.seed(7)\ndata = random.randbytes(24 << 20)\n",
    "shared": "data = mmap.mmap(-1, 24 << 20)\ndata.write(b'x' * len(data))\n",
    "huge": "data = mmap.mmap(-1, 32 << 20, flags=private)\ndata.madvise(mmap.MADV_HUGEPAGE)\n"
    "data.write(random.randbytes(len(data)))\n",
    "marked": "rest = random.randbytes(32 << 20)\ndata = mmap.mmap(-1, 16 << 20, flags=private)\n"
    "data.madvise(mmap.MADV_MERGEABLE)\ndata.write(b'x' * len(data))\n",
}
VOLATILE = """
data, number = bytearray(16 << 20), 0
print('ready', flush=True)
while True:
    number = (number + 1) % 256
    for page in range(0, len(data), 4096):
        data[page] = number
"""
# The capability is for Python's own files only; once with it, to import everything.
EXPLAIN = """
import contextlib, io, os, prctl, sys
from ksmrun.cli import run_app
with contextlib.redirect_stdout(io.StringIO()):
    run_app(["explain", str(os.getpid()), "--seconds=0.1"])
prctl.cap_effective.dac_read_search = False
sys.exit(run_app(["explain", sys.argv[1]]))
"""
Hold = Callable[..., int]


@pytest.fixture
def hold(launcher: str) -> Iterator[Hold]:
    """Start a program that holds such memory; return its PID once it does."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(code: str, *, merged: bool = True) -> int:
        text = code if "print" in code else HEAD + CODES[code] + END
        command = [sys.executable, "-c", text]
        process = subprocess.Popen(
            [launcher, "--quiet", "--", *command] if merged else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process.pid

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def explained(run: Run, pid: int, seconds: float = 0.5) -> dict[str, dict[str, Any]]:
    done = run("explain", str(pid), "--json", f"--seconds={seconds}")
    return {cause["name"]: cause for cause in json.loads(done.stdout)["causes"]}


def scanned(scans: int = 5) -> None:
    """Wait for this many full scans of ksmd."""
    before = int(value("full_scans"))
    wait_until(lambda: int(value("full_scans")) >= before + scans)


def settled(run: Run, pid: int, *expected: str) -> dict[str, dict[str, Any]]:
    """Return the causes once ksmd has seen everything and these are among them."""
    scanned()
    found: dict[str, dict[str, Any]] = {}

    def is_settled() -> bool:
        found.clear()
        found.update(explained(run, pid))
        return "not settled" not in found and found.keys() >= set(expected)

    wait_until(is_settled)
    return found


@pytest.mark.host_ksm
def test_ksmd_off(run: Run, hold: Hold) -> None:
    causes = explained(run, hold("unique"))
    assert list(causes) == ["ksmd off"]
    assert "run=0" in causes["ksmd off"]["found"]


@pytest.mark.usefixtures("ksm_on")
def test_unique_data_and_smart_scan(run: Run, hold: Hold) -> None:
    run("host", "set", "smart_scan=1")
    # On a busy machine ksmd may skip nothing while a command looks.
    causes = settled(run, hold("unique"), "smart scan")
    assert causes["unique data"]["size_bytes"] > 24 * MIB
    assert "ksmrun estimate" in causes["unique data"]["todo"]
    # It has been seen often enough to be skipped in some full scans.
    assert "smart_scan skipped" in causes["smart scan"]["found"]


@pytest.mark.usefixtures("ksm_on")
def test_without_smart_scan(run: Run, hold: Hold) -> None:
    causes = settled(run, hold("unique"))
    assert "unique data" in causes
    assert "smart scan" not in causes


@pytest.mark.usefixtures("ksm_on")
def test_equal_pages(run: Run, hold: Hold) -> None:
    pids = [hold("equal") for _ in range(2)]
    causes = settled(run, pids[0])
    # The interpreter's own, at different addresses in each.
    assert causes["unique data"]["size_bytes"] < 24 * MIB
    text = run("explain", str(pids[0])).stdout
    assert "merging   on, by the flag of the process (prctl)" in text
    (merged,) = [line.split()[1] for line in text.splitlines() if line.startswith("merged")]
    assert float(merged) >= 24


@pytest.mark.host_ksm
def test_not_settled(run: Run, hold: Hold) -> None:
    run("host", "set", "pages_to_scan=1", "sleep_millisecs=500", "run=1")
    causes = explained(run, hold("unique"))
    assert list(causes) == ["not settled"]
    assert causes["not settled"]["size_bytes"] > 24 * MIB
    assert "pages_to_scan" in causes["not settled"]["todo"]


@pytest.mark.usefixtures("ksm_on")
def test_shared_memory(run: Run, hold: Hold) -> None:
    causes = settled(run, hold("shared"))
    assert causes["shared memory"]["size_bytes"] >= 24 * MIB


@pytest.mark.usefixtures("ksm_on")
def test_huge_pages(run: Run, hold: Hold) -> None:
    pid = hold("huge")
    kept = Path(f"/proc/{pid}/smaps_rollup").read_text()
    (line,) = [line for line in kept.splitlines() if line.startswith("AnonHugePages")]
    causes = settled(run, pid)
    assert causes["huge pages"]["size_bytes"] == int(line.split()[1]) * 1024 >= 16 * MIB


@pytest.mark.usefixtures("ksm_on")
def test_volatile_pages(run: Run, hold: Hold) -> None:
    pid = hold(VOLATILE)
    scanned()
    causes = explained(run, pid)
    # Half of it by the interpreter's own memory, which does not change.
    assert causes["volatile pages"]["size_bytes"] > 12 * MIB
    assert "sampled pages changed within 0.5 s" in causes["volatile pages"]["found"]


def test_no_flag(run: Run, hold: Hold) -> None:
    causes = explained(run, hold("unique", merged=False))
    assert "flag missing" in causes
    assert "ksmrun run" in causes["flag missing"]["todo"]


@pytest.mark.usefixtures("ksm_on")
def test_marked_by_the_program_itself(run: Run, hold: Hold) -> None:
    pid = hold("marked", merged=False)
    causes = settled(run, pid)
    assert "flag missing" not in causes
    assert causes["not marked"]["size_bytes"] >= 32 * MIB
    assert "with madvise" in run("explain", str(pid)).stdout


def test_a_static_program_where_nothing_can_set_the_flag(programs: Programs, ksmrun: str) -> None:
    """As on a kernel before 6.4: there is no such prctl, and ld.so loads no shim."""
    with subprocess.Popen(["/bin/busybox", "sleep", "60"]) as process:
        command = [programs.deny, "22", ksmrun, "explain", str(process.pid), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        process.kill()
    (cause, *_) = json.loads(done.stdout)["causes"]
    assert cause["name"] == "flag missing"
    assert "statically linked" in cause["found"]
    assert cause["todo"]


def test_another_users_process(hold: Hold, nobody: tuple[str, ...]) -> None:
    pid = hold("unique")
    command = [*nobody, sys.executable, "-c", EXPLAIN, str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "permission" in done.stdout
    assert f"explain {pid}" in done.stdout


def test_one_that_ends_meanwhile(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the two readings."""
    process = start("cat")

    def end(seconds: float) -> None:
        assert seconds == 1.5
        process.kill()
        process.wait()

    monkeypatch.setattr("ksmrun.observe.inspect.time.sleep", end)
    with pytest.raises(KsmrunError, match="it has just ended"):
        look_at_process(process.pid, 1.5)


@pytest.mark.parametrize("pid", ["2", "4194304", "0", "-1", "x", ""])
def test_no_process_of_a_user(run: Run, pid: str) -> None:
    done = run("explain", "--", pid)
    assert done.returncode in (1, 2)
    assert done.stderr
    assert not done.stdout
