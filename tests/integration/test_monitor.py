"""`ksmrun monitor` on the real host: what it raises, clears, shows and leaves behind."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ksmrun.facts.maps import program_key, running_key
from ksmrun.facts.target import look_at
from ksmrun.host.borrow import borrowed
from ksmrun.host.peaks import remembered

from .conftest import FASTEST, Group, wait_until

SECONDS = 20.0
# Half of the limit is enough to be near it when the reserve is that large.
MANY_MAPS = """
import ctypes, mmap, sys, time
libc = ctypes.CDLL(None, use_errno=True)
pages = int(sys.argv[1])
memory = mmap.mmap(-1, pages * 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
for page in range(0, pages, 2):
    assert libc.mprotect(ctypes.c_void_p(start + page * 4096), 4096, 1) == 0
print("ready", flush=True)
time.sleep(1000)
"""
EQUAL = """
import mmap, os, sys, time
size = int(sys.argv[1]) << 20
memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
block = (b"equal" * 1000)[:4096] if sys.argv[2] == "equal" else None
for at in range(0, size, 4096):
    memory[at:at + 4096] = block or os.urandom(4096)
print("ready", flush=True)
if sys.stdin.readline():
    while True:
        for at in range(0, size, 4096):
            memory[at] = (memory[at] + 1) % 256
time.sleep(1000)
"""


class Monitor:
    """A running monitor whose log lines are kept as they come."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self.log = process, log

    def lines(self) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for line in self.log.read_text().splitlines(keepends=True)
            if line.endswith("\n") and line.startswith("{")
        ]

    def seen(self, **facts: str) -> dict[str, Any] | None:
        return next((line for line in self.lines() if facts.items() <= line.items()), None)

    def wait_for(self, **facts: str) -> dict[str, Any]:
        wait_until(lambda: self.seen(**facts) is not None, SECONDS)
        found = self.seen(**facts)
        assert found is not None
        return found


Begin = Callable[..., Monitor]


@pytest.fixture
def monitor(ksmrun: str, tmp_path: Path) -> Iterator[Begin]:
    running: list[Monitor] = []

    def begin(*options: str, **environment: str) -> Monitor:
        log = tmp_path / f"monitor-{len(running)}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [ksmrun, "monitor", "--interval=0.3", "--log=json", *options],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                text=True,
            )
        running.append(Monitor(process, log))
        return running[-1]

    yield begin
    for each in running:
        each.process.send_signal(signal.SIGTERM)
        assert each.process.wait(timeout=10) == 0, each.log.read_text()


@pytest.fixture
def start(launcher: str) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """A Python program that merges."""
    running = []

    def begin(code: str, *arguments: object) -> subprocess.Popen[bytes]:
        line = [launcher, "--", sys.executable, "-c", code, *map(str, arguments)]
        process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        return process

    yield begin
    for each in running:
        each.kill()
        each.communicate()


Start = Callable[..., subprocess.Popen[bytes]]


def test_near_the_map_limit(monitor: Begin, start: Start, tmp_path: Path) -> None:
    """It is told of, the limit is raised as far as allowed, that ends it, and restore undoes it."""
    process = start(MANY_MAPS, 36_000)
    file = tmp_path / "facts"
    command = f"sh -c {shlex.quote(f'env | grep ^KSMRUN_ALERT_ | sort >> {file}')}"
    begun = monitor(
        *("--map-reserve=50%", f"--on-alert={command}", "--raise-map-count-to=200000"),
        KSMRUN_STATE_DIR=str(tmp_path / "state"),
    )
    found = begun.wait_for(kind="map-headroom", state="raised", pid=str(process.pid))
    assert int(found["value"]) > 36_000 and found["limit"] == "65530"
    assert "sudo ksmrun host max-map-count 131072" in found["message"]
    begun.wait_for(kind="map-headroom", state="cleared")
    assert Path("/proc/sys/vm/max_map_count").read_text() == "131072\n"
    wait_until(lambda: file.exists() and "cleared" in file.read_text(), SECONDS)
    facts = file.read_text()
    assert f"KSMRUN_ALERT_PID={process.pid}\n" in facts
    assert "KSMRUN_ALERT_KIND=map-headroom\n" in facts and "KSMRUN_ALERT_STATE=raised\n" in facts


@pytest.fixture(autouse=True)
def limit_put_back(ksmrun: str, tmp_path: Path) -> Iterator[None]:
    before = Path("/proc/sys/vm/max_map_count").read_text()
    yield
    if (tmp_path / "state/host.json").exists():
        subprocess.run(
            [ksmrun, "host", "restore", "--force"],
            env={**os.environ, "KSMRUN_STATE_DIR": str(tmp_path / "state")},
            check=True,
            stdout=subprocess.DEVNULL,
        )
    assert Path("/proc/sys/vm/max_map_count").read_text() == before


def test_no_higher_than_allowed(monitor: Begin, start: Start, tmp_path: Path) -> None:
    process = start(MANY_MAPS, 36_000)
    begun = monitor(
        *("--map-reserve=50%", "--raise-map-count-to=65530"),
        KSMRUN_STATE_DIR=str(tmp_path / "state"),
    )
    begun.wait_for(kind="map-headroom", pid=str(process.pid))
    begun.wait_for(
        message="vm.max_map_count is 65530 and may be raised to 65530 only; raise "
        "--raise-map-count-to"
    )
    assert begun.seen(kind="map-headroom", state="cleared") is None
    process.kill()
    begun.wait_for(kind="map-headroom", state="cleared")


def test_ksmd_off_and_on(monitor: Begin, start: Start) -> None:
    start(EQUAL, 1, "equal")
    begun = monitor()
    found = begun.wait_for(kind="ksmd-off", state="raised")
    assert found["message"].endswith("sudo ksmrun host on")
    with borrowed(FASTEST):
        begun.wait_for(kind="ksmd-off", state="cleared")


@pytest.mark.usefixtures("ksm_on")
def test_what_costs_more_than_it_saves(monitor: Begin, start: Start) -> None:
    process = start(EQUAL, 160, "unique")
    found = monitor().wait_for(kind="costs-more", pid=str(process.pid))
    assert "ksmd's records of it take" in found["message"]


def test_a_lost_flag(monitor: Begin, launcher: str) -> None:
    program = subprocess.Popen(
        [launcher, "--", sys.executable, "-c", LOSES, "wait"], stdin=subprocess.PIPE
    )
    try:
        begun = monitor()
        wait_until(lambda: begun.seen(kind="ksmd-off") is not None, SECONDS)
        assert program.stdin is not None
        program.stdin.close()
        begun.wait_for(kind="flag-lost", pid=str(program.pid))
    finally:
        program.kill()
        program.wait()


# PR_SET_MEMORY_MERGE, off: once its stdin is closed.
LOSES = """
import ctypes, sys, time
sys.stdin.read()
assert ctypes.CDLL(None).prctl(67, 0, 0, 0, 0) == 0
time.sleep(1000)
"""


@pytest.mark.usefixtures("ksm_on")
def test_pages_that_are_copied_back(monitor: Begin, start: Start) -> None:
    process = start(EQUAL, 64, "equal")
    merging = Path(f"/proc/{process.pid}/ksm_merging_pages")
    wait_until(lambda: int(merging.read_text()) > 15_000, SECONDS)
    begun = monitor("--cow-breaks=1000")
    # It needs a sample from before.
    time.sleep(1.5)
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    process.stdin.flush()
    begun.wait_for(kind="cow-surge", state="raised")


@pytest.mark.usefixtures("ksm_on")
def test_memory_that_could_come_back_in_a_cgroup(
    monitor: Begin, start: Start, group: Group
) -> None:
    process = start(EQUAL, 128, "equal")
    group.take(process.pid)
    merging = Path(f"/proc/{process.pid}/ksm_merging_pages")
    wait_until(lambda: int(merging.read_text()) > 30_000, SECONDS)
    group.limit(64 << 20)
    begun = monitor()
    found = begun.wait_for(kind="memory-could-come-back", state="raised")
    assert group.folder.name in found["subject"] and "of its 64 MiB are free" in found["message"]
    group.limit(1 << 30)
    begun.wait_for(kind="memory-could-come-back", state="cleared")
    process.kill()
    process.wait()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_full_disk(monitor: Begin, small_disk: Path) -> None:
    """Said once; the last figures stay, and are written again as soon as there is room."""
    begun = monitor(f"--textfile={small_disk}", KSMRUN_STATE_DIR=str(small_disk / "state"))
    metrics = small_disk / "ksmrun.prom"
    wait_until(metrics.exists)
    fill = small_disk / "fill"
    with suppress(OSError), fill.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    begun.wait_for(level="error")
    (said,) = [line["message"] for line in begun.lines() if line["level"] == "error"]
    assert said.startswith(f"cannot write {metrics}: No space left on device")
    before = metrics.read_text()
    time.sleep(1)
    assert metrics.read_text() == before
    fill.unlink()
    begun.wait_for(message="metrics are written again")
    assert sum(line["level"] == "error" for line in begun.lines()) == 1
    begun.process.terminate()
    assert begun.process.wait(timeout=10) == 0
    assert [each.name for each in small_disk.iterdir() if each.name != "state"] == []


def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def scrape(number: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{number}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def shows(number: int, line: str) -> bool:
    try:
        return line in scrape(number)
    except OSError:
        return False


def test_metrics(monitor: Begin, start: Start, tmp_path: Path) -> None:
    process = start(EQUAL, 1, "equal")
    number, folder = port(), tmp_path / "textfile"
    folder.mkdir()
    begun = monitor(f"--listen=127.0.0.1:{number}", f"--textfile={folder}", "--by-pid")
    wait_until(lambda: shows(number, f'pid="{process.pid}"'), SECONDS)
    text = scrape(number)
    assert "ksmrun_alerts_raised_total{kind=" in text and "ksmrun_maps_limit 65530.0" in text
    wait_until(lambda: (folder / "ksmrun.prom").exists(), SECONDS)
    assert f'pid="{process.pid}"' in (folder / "ksmrun.prom").read_text()
    begun.process.terminate()
    assert begun.process.wait(10) == 0
    assert list(folder.iterdir()) == [], "an old file would look like a monitor at work"


def test_reload(monitor: Begin, start: Start, tmp_path: Path) -> None:
    process = start(EQUAL, 1, "equal")
    first, second, config = port(), port(), tmp_path / "config.toml"
    config.write_text(f'[monitor]\nlisten = "127.0.0.1:{first}"\n')
    begun = monitor(f"--config={config}")
    wait_until(lambda: shows(first, "ksmrun_processes"), SECONDS)
    config.write_text("[monitor]\nlisten = 5\n")
    begun.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "not reloaded" in begun.log.read_text(), SECONDS)
    assert shows(first, "ksmrun_processes")
    config.write_text(f'[monitor]\nlisten = "127.0.0.1:{second}"\nby_pid = true\n')
    begun.process.send_signal(signal.SIGHUP)
    wait_until(lambda: shows(second, f'pid="{process.pid}"'), SECONDS)
    assert not shows(first, "ksmrun_processes")


def test_a_port_that_is_taken_at_reload(monitor: Begin, tmp_path: Path) -> None:
    """What is shown stays shown."""
    first, config = port(), tmp_path / "config.toml"
    config.write_text(f'[monitor]\nlisten = "127.0.0.1:{first}"\n')
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        begun = monitor(f"--config={config}")
        wait_until(lambda: shows(first, "ksmrun_alerts"), SECONDS)
        config.write_text(f'[monitor]\nlisten = "127.0.0.1:{taken.getsockname()[1]}"\n')
        begun.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "not reloaded: cannot listen" in begun.log.read_text(), SECONDS)
        assert shows(first, "ksmrun_alerts")


def test_killed(start: Start, tmp_path: Path, ksmrun: str) -> None:
    """Peaks stay, whole; nothing else is left."""
    process = start(MANY_MAPS, 4000)
    state = tmp_path / "state"
    command = [ksmrun, "monitor", "--interval=0.2"]
    environment = {**os.environ, "KSMRUN_STATE_DIR": str(state)}
    begun = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    executable = str(Path(f"/proc/{process.pid}/exe").readlink())
    try:
        wait_until(lambda: remembered(state / "peaks.json", executable) is not None, SECONDS)
    finally:
        begun.kill()
        begun.wait()
    peak = remembered(state / "peaks.json", executable)
    assert peak is not None and peak.maps >= 4000
    assert [each.name for each in state.iterdir()] == ["peaks.json"]


def test_a_script_is_known_by_its_name(launcher: str, tmp_path: Path) -> None:
    """As the guard of a launch asks for it."""
    script = tmp_path / "server"
    script.write_text(f"#!{sys.executable} -S\nprint(1, flush=True)\nimport time\ntime.sleep(99)\n")
    script.chmod(0o755)
    command = [launcher, "--", "./server"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"1\n"
        folder = Path(f"/proc/{process.pid}")
        found = running_key(folder, str((folder / "exe").readlink()))
        assert found == program_key(look_at(os.fsencode(script), os.environb))
    finally:
        process.kill()
        process.communicate()


def test_commands_that_hang(monitor: Begin, start: Start) -> None:
    """They hold nothing up, and a signal reaches them as ever."""
    start(EQUAL, 1, "equal")
    begun = monitor("--on-alert=sleep 1000")
    begun.wait_for(kind="ksmd-off", state="raised")
    children = Path(f"/proc/{begun.process.pid}/task/{begun.process.pid}/children")
    wait_until(lambda: children.read_text() != "", SECONDS)
    sleeper = int(children.read_text().split()[0])
    blocked = Path(f"/proc/{sleeper}/status").read_text().split("SigBlk:")[1].split()[0]
    assert int(blocked, 16) == 0
    begun.process.terminate()
    assert begun.process.wait(10) == 0
    os.kill(sleeper, signal.SIGTERM)


def refused(ksmrun: str, *options: str) -> str:
    done = subprocess.run([ksmrun, "monitor", *options], capture_output=True, text=True, timeout=60)
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr, done.stderr
    assert "; " in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--map-reserve=-5%"], "from 0% to below 100%"),
        (["--map-reserve=100%"], "from 0% to below 100%"),
        (["--interval=0"], "out of range"),
        (["--listen=9739"], "is no address"),
        (["--textfile=/proc"], "cannot write to /proc"),
        (["--textfile=/no/such/folder"], "cannot write to /no/such/folder"),
        (["--config=/no/such/file"], "is not there"),
        (["--log=xml"], "plain or json"),
        (["--raise-map-count-to=10"], "out of range"),
    ],
)
def test_bad_input(ksmrun: str, options: Sequence[str], said: str) -> None:
    assert said in refused(ksmrun, *options)


def test_a_port_that_is_taken(ksmrun: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        assert "cannot listen on 127.0.0.1" in refused(ksmrun, f"--listen=127.0.0.1:{number}")


def test_the_unit(ksmrun: str) -> None:
    text = subprocess.run(
        [ksmrun, "monitor", "--print-unit"], capture_output=True, text=True, check=True
    ).stdout
    assert f"ExecStart={ksmrun} monitor" in text and "CapabilityBoundingSet=" in text
