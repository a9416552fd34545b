"""`ksmrun monitor --auto` on the real ksmd: fast while there is work, idle otherwise, restored."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from ksm_at_boot import KSM, ksmd_pid, tunables
from waiting import LAST_RESORT_SECONDS, wait_until

from ksmrun.host.temporary_tunables import borrowed

from .conftest import start_equal_programs, stop, value
from .support.monitors import small_disk

__all__ = ["small_disk"]

pytestmark = pytest.mark.host_ksm
Begin = Callable[..., subprocess.Popen[bytes]]
MIB = 32
# Enough that a boost can be seen before all has merged.
BOOST_MIB = 64


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def ksm(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Switch KSM on, at the kernel's own rate, which is to be restored."""
    with borrowed({"run": "1"}, tmp_path):
        yield tunables()


@pytest.fixture
def begin(ksmrun: str, state: Path, tmp_path: Path) -> Iterator[Begin]:
    assert state == tmp_path / "state"
    running = []

    def started(*options: str) -> subprocess.Popen[bytes]:
        with (tmp_path / "log").open("ab") as log:
            line = [ksmrun, "monitor", "--auto", "--interval=1", *options]
            running.append(subprocess.Popen(line, stdout=log, stderr=log))
        return running[-1]

    yield started
    for each in running:
        each.terminate()
        each.wait(LAST_RESORT_SECONDS)


@pytest.fixture
def log(tmp_path: Path) -> Callable[[], str]:
    return (tmp_path / "log").read_text


def test_boost_rest_and_back(
    begin: Begin, log: Callable[[], str], ksm: dict[str, str], launcher: str, tmp_path: Path
) -> None:
    monitor = begin("--max-cpu=50%", f"--textfile={tmp_path}")
    wait_until(lambda: "up to 50% of a core" in log())
    programs = start_equal_programs(launcher, 3, mib=BOOST_MIB)
    try:
        wait_until(lambda: "boost: " in log())
        assert re.search(r"boost: [123] new to merge, \d+ MiB more; pages_to_scan=\d+", log())
        wait_until(lambda: int(value("pages_to_scan")) > 500)
        assert value("smart_scan") == "0"
        metrics = tmp_path / "ksmrun.prom"
        wait_until(lambda: "\nksmrun_ksmd_boosted 1.0\n" in metrics.read_text())
        wait_until(lambda: "rest: settled" in log())
        wait_until(lambda: "\nksmrun_ksmd_boosted 0.0\n" in metrics.read_text())
        assert int(value("pages_sharing")) > 2 * BOOST_MIB * 256
        assert value("smart_scan") == "1"
        # One more, later.
        programs += start_equal_programs(launcher, 1, mib=BOOST_MIB)
        wait_until(lambda: int(value("pages_sharing")) > 3 * BOOST_MIB * 256)
        monitor.terminate()
        assert monitor.wait(LAST_RESORT_SECONDS) == 0
        assert tunables() == ksm
    finally:
        stop(programs)


def test_killed(
    begin: Begin, log: Callable[[], str], ksm: dict[str, str], launcher: str, state: Path
) -> None:
    """The guardian restores KSM, and leaves no record."""
    monitor = begin()
    programs = start_equal_programs(launcher, 2, mib=MIB)
    try:
        wait_until(lambda: int(value("pages_to_scan")) > 200)
        assert list(state.glob("borrowed-*.json"))
        monitor.kill()
        wait_until(lambda: tunables() == ksm)
        wait_until(lambda: not list(state.glob("borrowed-*")))
    finally:
        stop(programs)
    assert "Traceback" not in log()


def test_ended_with_its_guardian(begin: Begin, ksm: dict[str, str], launcher: str) -> None:
    """As systemd does: SIGTERM for all processes of a unit at once."""
    monitor = begin()
    programs = start_equal_programs(launcher, 2, mib=MIB)
    try:
        wait_until(lambda: int(value("pages_to_scan")) > 200)
        for pid in (*children(monitor), monitor.pid):
            os.kill(pid, signal.SIGTERM)
        assert monitor.wait(LAST_RESORT_SECONDS) == 0
        assert tunables() == ksm
    finally:
        stop(programs)


def children(process: subprocess.Popen[bytes]) -> list[int]:
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(word) for word in text.split()]


def test_killed_with_its_guardian(
    begin: Begin, log: Callable[[], str], ksm: dict[str, str], launcher: str
) -> None:
    """The next monitor restores KSM before it begins."""
    monitor = begin()
    programs = start_equal_programs(launcher, 2, mib=MIB)
    try:
        wait_until(lambda: int(value("pages_to_scan")) > 200)
        guardians = children(monitor)
        monitor.send_signal(signal.SIGSTOP)
        for pid in guardians:
            os.kill(pid, signal.SIGKILL)
        monitor.kill()
        monitor.wait()
        assert tunables() != ksm
        again = begin()
        wait_until(lambda: "left by an earlier run: pages_to_scan" in log())
        again.terminate()
        again.wait(LAST_RESORT_SECONDS)
        assert tunables() == ksm
    finally:
        stop(programs)


def test_somebody_else_sets_it(
    begin: Begin, log: Callable[[], str], ksm: dict[str, str], launcher: str
) -> None:
    """They get it, with a message; once it is as before, tuning continues."""
    monitor = begin()
    programs = start_equal_programs(launcher, 2, mib=MIB)
    try:
        wait_until(lambda: "rest: settled" in log())
        ours = value("pages_to_scan")
        (KSM / "pages_to_scan").write_text("123")
        wait_until(lambda: "set pages_to_scan to 123, so tuning pauses; to do: sudo " in log())
        assert f"/ksmrun host set pages_to_scan={ours}, or SIGHUP" in log()
        # What they set after that is told, too: both have to be as before.
        sleep = value("sleep_millisecs")
        (KSM / "sleep_millisecs").write_text("21")
        wait_until(lambda: "set pages_to_scan to 123 and sleep_millisecs to 21, so" in log())
        assert f"host set pages_to_scan={ours} sleep_millisecs={sleep}, or SIGHUP" in log()
        (KSM / "sleep_millisecs").write_text(sleep)
        programs += start_equal_programs(launcher, 1, mib=MIB)
        time.sleep(3)
        assert value("pages_to_scan") == "123"
        (KSM / "pages_to_scan").write_text(ours)
        wait_until(lambda: "tuning continues" in log())
        wait_until(lambda: log().count("rest: settled") == 2)
        # Their last value stays.
        (KSM / "pages_to_scan").write_text("124")
        monitor.terminate()
        assert monitor.wait(LAST_RESORT_SECONDS) == 0
        assert tunables() == {**ksm, "pages_to_scan": "124"}
    finally:
        stop(programs)
        for name in ("pages_to_scan", "sleep_millisecs"):
            (KSM / name).write_text(ksm[name])


def test_a_full_disk_in_a_boost(
    begin: Begin,
    log: Callable[[], str],
    ksm: dict[str, str],
    launcher: str,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rate is restored, and once there is space tuning continues by itself."""
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(small_disk))
    monitor = begin()
    wait_until(lambda: "up to 70% of a core" in log())
    fill(small_disk / "all")
    programs = start_equal_programs(launcher, 2, mib=MIB)
    try:
        wait_until(lambda: "not tuning: cannot write" in log())
        assert re.search(r"No space left.*; free some space on .*; tried again every", log())
        wait_until(lambda: tunables() == ksm)
        (small_disk / "all").unlink()
        wait_until(lambda: log().count("up to 70% of a core") == 2)
        wait_until(lambda: "rest: settled" in log())
        monitor.terminate()
        assert monitor.wait(LAST_RESORT_SECONDS) == 0
        assert tunables() == ksm
        assert log().count("not tuning") == 1
    finally:
        stop(programs)


def fill(file: Path) -> None:
    with suppress(OSError), file.open("wb", buffering=0) as output:
        while True:
            output.write(bytes(4096))


def test_two_of_them(begin: Begin, log: Callable[[], str], ksm: dict[str, str]) -> None:
    """The second refuses, and names the first; when that has ended, the next one tunes."""
    first = begin()
    wait_until(lambda: "up to 70% of a core" in log())
    second = begin()
    assert second.wait(LAST_RESORT_SECONDS) == 1
    assert f"`ksmrun monitor --auto` runs on this host already, as PID {first.pid}; " in log()
    assert first.poll() is None
    first.kill()
    first.wait()
    begin()
    wait_until(lambda: log().count("up to 70% of a core") == 2)
    assert tunables() == ksm


def test_restore_beside_it(
    begin: Begin, log: Callable[[], str], ksm: dict[str, str], launcher: str, ksmrun: str
) -> None:
    """It names the monitor, and what to do about values that somebody else has set meanwhile."""
    monitor = begin()
    programs = start_equal_programs(launcher, 2, mib=MIB)
    try:
        wait_until(lambda: "rest: settled" in log())
        ours = value("pages_to_scan")
        (KSM / "pages_to_scan").write_text("123")
        hand_back = f"/ksmrun host set pages_to_scan={ours}"
        wait_until(lambda: f"{hand_back}, or SIGHUP" in log())
        said = subprocess.run([ksmrun, "host", "restore"], capture_output=True, text=True).stdout
        assert f"left to `ksmrun monitor --auto` of PID {monitor.pid}, which still runs" in said
        assert "pages_to_scan is 123, which another program or user has set since" in said
        assert hand_back in said and "pages_to_scan=100 is what it was before" in said
        mine = [ksmrun, "host", "set", "pages_to_scan=124"]
        said = subprocess.run(mine, capture_output=True, text=True, check=True).stdout
        assert f"note: `ksmrun monitor --auto` (PID {monitor.pid}) sets KSM's rate" in said
        tune = [ksmrun, "host", "tune", "--max-cpu=5%"]
        refused = subprocess.run(tune, capture_output=True, text=True)
        assert refused.returncode == 1 and f"(PID {monitor.pid}) sets" in refused.stderr
        monitor.send_signal(signal.SIGHUP)
        wait_until(lambda: "tuning continues" in log())
        wait_until(lambda: value("pages_to_scan") != "124")
        monitor.terminate()
        assert monitor.wait(LAST_RESORT_SECONDS) == 0
        assert tunables() == ksm
    finally:
        stop(programs)
        for name in ("pages_to_scan", "sleep_millisecs"):
            (KSM / name).write_text(ksm[name])


@pytest.mark.usefixtures("ksm")
def test_another_tuner(begin: Begin, log: Callable[[], str], tmp_path: Path) -> None:
    with borrowed({"advisor_mode": "scan-time"}, tmp_path / "other"):
        begin()
        wait_until(lambda: "not tuning: the kernel's scan-time advisor" in log())
        assert value("advisor_mode") == "none [scan-time]"


@pytest.mark.usefixtures("ksm")
def test_configured(begin: Begin, log: Callable[[], str], tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[monitor]\nmax_cpu = "30%"\n')
    begin(f"--config={config}")
    wait_until(lambda: "up to 30% of a core" in log())


@pytest.mark.host_pids
def test_only_under_pressure(
    begin: Begin, log: Callable[[], str], ksm: dict[str, str], launcher: str
) -> None:
    """ksmd idles while there is memory; what came meanwhile merges when memory is short."""
    monitor = begin("--auto=pressure", "--available-below=0%", "--nice=19", "--interval=0.2")
    wait_until(lambda: "a core while memory is short; ksmd/policy=normal; ksmd/nice=19" in log())
    assert os.getpriority(os.PRIO_PROCESS, ksmd_pid()) == 19
    programs = start_equal_programs(launcher, 2, mib=16)
    try:
        scans = int(value("full_scans"))
        wait_until(lambda: int(value("full_scans")) > scans)
        assert "boost: " not in log()
        monitor.terminate()
        assert monitor.wait(LAST_RESORT_SECONDS) == 0
        assert tunables() == ksm
        assert os.getpriority(os.PRIO_PROCESS, ksmd_pid()) == 5
        begin("--auto=pressure", "--available-below=100%")
        wait_until(lambda: bool(re.search("memory is short: .* available, less than 100%", log())))
        wait_until(lambda: "boost: " in log() and "rest: settled" in log())
        assert int(value("pages_sharing")) > 16 * 256
    finally:
        stop(programs)
