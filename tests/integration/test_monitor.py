"""`ksmrun monitor` on the real host: what it raises, clears, exports and leaves behind."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS, wait_until

from ksmrun.facts.maps import program_key, running_key
from ksmrun.facts.target import look_at
from ksmrun.host.map_peaks import remembered
from ksmrun.host.temporary_tunables import borrowed

from .conftest import FASTEST, Group
from .support.monitors import EQUAL, MANY_MAPS, Begin, Start, limit_put_back, monitor, start

pytestmark = pytest.mark.host_ksm
__all__ = ["limit_put_back", "monitor", "start"]


@pytest.mark.usefixtures("limit_put_back")
def test_near_the_map_limit(monitor: Begin, start: Start, tmp_path: Path) -> None:
    """It raises an alert, and the limit as far as allowed, which ends it; restore undoes it."""
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
    wait_until(lambda: file.exists() and "cleared" in file.read_text())
    facts = file.read_text()
    assert f"KSMRUN_ALERT_PID={process.pid}\n" in facts
    assert "KSMRUN_ALERT_KIND=map-headroom\n" in facts and "KSMRUN_ALERT_STATE=raised\n" in facts


@pytest.mark.usefixtures("limit_put_back")
def test_no_higher_than_allowed(monitor: Begin, start: Start, tmp_path: Path) -> None:
    process = start(MANY_MAPS, 36_000)
    begun = monitor(
        *("--map-reserve=50%", "--raise-map-count-to=65530"),
        KSMRUN_STATE_DIR=str(tmp_path / "state"),
    )
    begun.wait_for(kind="map-headroom", pid=str(process.pid))
    begun.wait_for(
        message="vm.max_map_count is 65530, and --raise-map-count-to=65530 allows no more; give it "
        "a larger number"
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
        wait_until(lambda: begun.seen(kind="ksmd-off") is not None)
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
    wait_until(lambda: int(merging.read_text()) > 15_000)
    begun = monitor("--cow-breaks=1000")
    # It needs an earlier sample.
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
    wait_until(lambda: int(merging.read_text()) > 30_000)
    group.limit(64 << 20)
    begun = monitor()
    found = begun.wait_for(kind="memory-could-come-back", state="raised")
    assert group.folder.name in found["subject"] and "of its 64 MiB are free" in found["message"]
    group.limit(1 << 30)
    begun.wait_for(kind="memory-could-come-back", state="cleared")
    process.kill()
    process.wait()


def test_killed(start: Start, tmp_path: Path, ksmrun: str) -> None:
    """Peaks stay, complete; nothing else remains."""
    process = start(MANY_MAPS, 4000)
    state = tmp_path / "state"
    command = [ksmrun, "monitor", "--interval=0.2"]
    environment = {**os.environ, "KSMRUN_STATE_DIR": str(state)}
    begun = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    executable = str(Path(f"/proc/{process.pid}/exe").readlink())
    try:
        wait_until(lambda: remembered(state / "peaks.json", executable) is not None)
        # The other file is written next, and one that is being written when it is killed stays.
        wait_until(lambda: (state / "alerts.json").exists())
    finally:
        begun.kill()
        begun.wait()
    peak = remembered(state / "peaks.json", executable)
    assert peak is not None and peak.maps >= 4000
    # The lock's file is left to its next holder.
    files = {each.name for each in state.iterdir() if each.suffix != ".lock"}
    assert files == {"alerts.json", "peaks.json"}


def test_a_script_is_known_by_its_name(launcher: str, tmp_path: Path) -> None:
    """As the guard of a launch looks it up."""
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
    """They block nothing, and signals reach them as usual."""
    start(EQUAL, 1, "equal")
    begun = monitor("--on-alert=sleep 1000")
    begun.wait_for(kind="ksmd-off", state="raised")
    children = Path(f"/proc/{begun.process.pid}/task/{begun.process.pid}/children")
    wait_until(lambda: children.read_text() != "")
    sleeper = int(children.read_text().split()[0])
    # Until its exec it has all signals blocked.
    wait_until(lambda: Path(f"/proc/{sleeper}/comm").read_text() == "sleep\n")
    blocked = Path(f"/proc/{sleeper}/status").read_text().split("SigBlk:")[1].split()[0]
    assert int(blocked, 16) == 0
    begun.process.terminate()
    assert begun.process.wait(LAST_RESORT_SECONDS) == 0
    os.kill(sleeper, signal.SIGTERM)
