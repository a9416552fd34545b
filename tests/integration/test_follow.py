"""Memory that attached programs map later is marked too.

Here with the calls that kernels before 6.4 need; kernels/test_follow.py runs the complete commands
on such a kernel.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from schemas import ATTACHED
from waiting import wait_until

from ksmrun.attach import running
from ksmrun.commands.attach import _is_remembered
from ksmrun.facts.stat import read_stat
from ksmrun.host.attach_state import attached, attached_file, is_running, remember
from ksmrun.model.attach import Deed
from ksmrun.model.errors import KsmrunError
from ksmrun.model.watch import ALERT_KINDS
from ksmrun.watch import follow
from ksmrun.watch.budget import Budget
from ksmrun.watch.config import Config
from ksmrun.watch.follow import Follower
from ksmrun.watch.metrics import Shown, WatchCollector
from ksmrun.watch.scanner import Scanner

from .support.attaching import Begin, begin
from .support.monitors import Begin as Monitors
from .support.monitors import monitor
from .test_monitoring_example import is_fine

pytestmark = pytest.mark.own_pids

__all__ = ["begin", "monitor"]

GROWN_BYTES = 8 << 20
GROWS = f"""
import mmap, sys
kept = []
# Shared memory never merges, and so is never marked.
shared = mmap.mmap(-1, 1 << 20)
print("ready", flush=True)
for line in sys.stdin:
    if line == "less\\n":
        kept.pop()
    else:
        kept.append(mmap.mmap(-1, {GROWN_BYTES}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        kept[-1].write(bytes({GROWN_BYTES}))
    print("done", flush=True)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def follower(said: list[str], monkeypatch: pytest.MonkeyPatch) -> Follower:
    # CPU budget for a scan is available at once.
    monkeypatch.setattr(follow, "SHARE_MAX", 1000.0)
    return Follower(lambda level, text: said.append(f"{level}: {text}"))


@pytest.fixture
def program(begin: Begin) -> Grower:
    return Grower(begin)


class Grower:
    """Program that maps more when told to."""

    def __init__(self, begin: Begin) -> None:
        self.process = begin(sys.executable, "-c", GROWS)
        self.pid = self.process.pid

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def attach(self) -> None:
        (done,) = running.carry_out([running.look(self.pid)], Deed.MARK)
        assert done.done
        remember(here(), {self.pid: ticks(self.pid)}, attach=True)


def here() -> Path:
    file = attached_file()
    assert file is not None
    return file


def ticks(pid: int) -> int:
    return read_stat(Path(f"/proc/{pid}")).start_ticks


def unmarked(pid: int) -> int:
    """Return private writable bytes without a mark."""
    found, size, wanted = 0, 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0] and len(words) > 4:
            wanted = words[1] == "rw-p"
        elif words[0] == "Size:":
            size = int(words[1]) << 10
        elif words[0] == "VmFlags:" and wanted and "mg" not in words:
            found += size
    return found


def test_what_is_mapped_later_is_marked(program: Grower, follower: Follower) -> None:
    program.attach()
    assert unmarked(program.pid) == 0
    for _ in range(3):
        program.tell("more")
        assert unmarked(program.pid) >= GROWN_BYTES
        seen = follower.follow()
        assert unmarked(program.pid) == 0
    assert seen.processes == 1
    assert 0 < seen.cpu_seconds < 5
    assert 0 < seen.stopped_ns_max < 1e9


def test_what_is_as_it_was_is_left_alone(
    program: Grower, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.attach()
    follower.follow()
    calls: list[object] = []
    monkeypatch.setattr(follow, "carry_out", lambda *args: calls.append(args))
    for _ in range(3):
        follower.follow()
    assert not calls
    # Scanned again after a while, because memory of the same size may be another.
    monkeypatch.setattr(follow, "LOOK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(follow, "carry_out", running.carry_out)
    program.tell("more")
    follower.follow()
    program.tell("less")
    program.tell("more")
    follower.follow()
    assert unmarked(program.pid) == 0


def test_marked_memory_needs_no_stop(program: Grower) -> None:
    program.attach()
    (again,) = running.carry_out([running.look(program.pid)], Deed.MARK)
    assert (again.done, again.stopped_ns) == (True, None)
    (undone,) = running.carry_out([running.look(program.pid)], Deed.UNMARK)
    assert undone.done
    assert unmarked(program.pid) > 0
    assert " mg" not in Path(f"/proc/{program.pid}/smaps").read_text()


def test_detached_ones_are_forgotten(program: Grower, follower: Follower) -> None:
    program.attach()
    remember(here(), {program.pid: ticks(program.pid)}, attach=False)
    program.tell("more")
    assert follower.follow().processes == 0
    assert unmarked(program.pid) >= GROWN_BYTES


def test_ended_ones_and_reused_pids(program: Grower, follower: Follower, begin: Begin) -> None:
    other = Grower(begin)
    program.attach()
    # As if its PID had been another's.
    remember(here(), {other.pid: ticks(other.pid) - 1}, attach=True)
    assert follower.follow().processes == 1
    assert unmarked(other.pid) > 0
    program.process.kill()
    program.process.wait()
    assert follower.follow().processes == 0
    other.attach()
    assert attached(here()) == {other.pid: ticks(other.pid)}


def test_one_that_is_left_alone_is_told_once(
    program: Grower, follower: Follower, said: list[str]
) -> None:
    program.attach()
    program.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: read_stat(Path(f"/proc/{program.pid}")).state == "T")
    try:
        for word in range(3):
            assert follower.follow().processes == 1, word
    finally:
        program.process.send_signal(signal.SIGCONT)
    (line,) = said
    assert f"PID {program.pid}" in line and "SIGSTOP" in line


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", json.dumps({"schema": ATTACHED}), '{"schema": 1e999}', "[" * 9999],
)
def test_damaged_files(folder: Path, follower: Follower, said: list[str], text: str) -> None:
    """Reported once; nothing is guessed, and nothing overwritten."""
    (folder / "attached.json").write_text(text)
    for _ in range(2):
        assert follower.follow().processes == 0
    (line,) = said
    assert line.startswith("error: ") and f"delete {here()}" in line
    with pytest.raises(KsmrunError, match="does not know these processes"):
        remember(here(), {os.getpid(): ticks(os.getpid())}, attach=True)
    assert here().read_text() == text


def test_of_another_boot() -> None:
    remember(here(), {os.getpid(): ticks(os.getpid())}, attach=True)
    data = json.loads(here().read_text())
    here().write_text(json.dumps({**data, "boot_id": "another"}))
    assert attached(here()) == {}


def test_a_folder_that_cannot_be_written(folder: Path) -> None:
    (folder / "attached.json").mkdir()
    with pytest.raises(KsmrunError, match=r"is not a regular file; .* does not know these"):
        remember(here(), {os.getpid(): ticks(os.getpid())}, attach=True)


def test_what_it_may_cost(program: Grower, follower: Follower) -> None:
    """After an expensive scan the next one waits for the budget."""
    program.attach()
    clock = iter(float(second) for second in range(1000))
    follower._budget = Budget(0.01, lambda: next(clock))
    assert follower.follow().cpu_seconds == 1.0
    program.tell("more")
    assert follower.follow().cpu_seconds == 1.0
    assert unmarked(program.pid) >= GROWN_BYTES


def test_what_it_takes_is_shown(program: Grower, follower: Follower) -> None:
    program.attach()
    state = replace(Scanner(Config()).sample(), followed=follower.follow())
    collector = WatchCollector()
    collector.shown = Shown(state, (), dict.fromkeys(ALERT_KINDS, 0), 1.0)
    registry = CollectorRegistry()
    registry.register(collector)
    text = generate_latest(registry).decode()
    is_fine(text)
    values = dict(line.split() for line in text.splitlines() if line.startswith("ksmrun_follow"))
    assert float(values["ksmrun_followed_processes"]) == 1
    assert 0 < float(values["ksmrun_follow_cpu_seconds_total"]) < 5
    # Marked before, so nothing had to stop.
    assert float(values["ksmrun_follow_stop_seconds_max"]) == 0
    program.tell("more")
    assert 0 < follower.follow().stopped_ns_max < 1e9


def test_where_the_flag_is_nothing_is_followed(monitor: Monitors) -> None:
    watching = monitor("--follow")
    watching.wait_for(
        message="--follow has nothing to do: on this kernel, memory that a program maps "
        "later merges too"
    )
    assert watching.process.poll() is None


def test_attached_but_not_written_down(
    program: Grower, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "attached.json").mkdir()
    done = running.carry_out([running.look(program.pid)], Deed.MARK)
    assert not _is_remembered(done, attach=True)
    said = capsys.readouterr().err
    assert "does not know these processes; delete" in " ".join(said.split())


def test_running_is_who_it_was() -> None:
    assert is_running(os.getpid(), ticks(os.getpid()))
    assert not is_running(os.getpid(), ticks(os.getpid()) + 1)
    assert not is_running(1 << 22, 0)
