"""Exports of the monitor, and what it refuses at its start."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from ports import free_port
from waiting import LAST_RESORT_SECONDS, wait_until

from .support.monitors import (
    EQUAL,
    Begin,
    Start,
    monitor,
    refused,
    scrape,
    shows,
    small_disk,
    start,
)

pytestmark = pytest.mark.own_pids

__all__ = ["monitor", "small_disk", "start"]


def test_full_disk(monitor: Begin, small_disk: Path) -> None:
    """Reported once; the last values stay, and are written again as soon as there is space."""
    begun = monitor(f"--textfile={small_disk}", KSMRUN_STATE_DIR=str(small_disk / "state"))
    metrics = small_disk / "ksmrun.prom"
    wait_until(metrics.exists)
    fill = small_disk / "fill"
    with suppress(OSError), fill.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    said = f"cannot write {metrics}: No space left on device"

    def errors() -> list[str]:
        # Its records, which are on this disk, are another error.
        lines = [line["message"] for line in begun.lines() if line["level"] == "error"]
        return [line for line in lines if str(small_disk / "state") not in line]

    wait_until(lambda: len(errors()) > 0)
    assert errors()[0].startswith(said)
    before = metrics.read_text()
    time.sleep(1)
    assert metrics.read_text() == before
    fill.unlink()
    begun.wait_for(message="metrics can be written again")
    assert len(errors()) == 1
    begun.process.terminate()
    assert begun.process.wait(timeout=LAST_RESORT_SECONDS) == 0
    assert [each.name for each in small_disk.iterdir() if each.name != "state"] == []


def test_metrics(monitor: Begin, start: Start, tmp_path: Path) -> None:
    process = start(EQUAL, 1, "equal")
    number, folder = free_port(), tmp_path / "textfile"
    folder.mkdir()
    begun = monitor(f"--listen=127.0.0.1:{number}", f"--textfile={folder}", "--by-pid")
    wait_until(lambda: shows(number, f'pid="{process.pid}"'))
    text = scrape(number)
    assert "ksmrun_alerts_raised_total{kind=" in text and "ksmrun_maps_limit 65530.0" in text
    wait_until(lambda: (folder / "ksmrun.prom").exists())
    assert f'pid="{process.pid}"' in (folder / "ksmrun.prom").read_text()
    begun.process.terminate()
    assert begun.process.wait(LAST_RESORT_SECONDS) == 0
    assert list(folder.iterdir()) == [], "an old file would look like a monitor at work"


def test_reload(monitor: Begin, start: Start, tmp_path: Path) -> None:
    process = start(EQUAL, 1, "equal")
    first, config = free_port(2), tmp_path / "config.toml"
    config.write_text(f'[monitor]\nlisten = "127.0.0.1:{first}"\n')
    begun = monitor(f"--config={config}")
    wait_until(lambda: shows(first, "ksmrun_processes"))
    config.write_text("[monitor]\nlisten = 5\n")
    begun.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "not reloaded" in begun.log.read_text())
    assert shows(first, "ksmrun_processes")
    config.write_text(f'[monitor]\nlisten = "127.0.0.1:{first + 1}"\nby_pid = true\n')
    begun.process.send_signal(signal.SIGHUP)
    wait_until(lambda: shows(first + 1, f'pid="{process.pid}"'))
    assert not shows(first, "ksmrun_processes")


def test_a_port_that_is_taken_at_reload(monitor: Begin, tmp_path: Path) -> None:
    """The old export continues."""
    first, config = free_port(), tmp_path / "config.toml"
    config.write_text(f'[monitor]\nlisten = "127.0.0.1:{first}"\n')
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        begun = monitor(f"--config={config}")
        wait_until(lambda: shows(first, "ksmrun_alerts"))
        config.write_text(f'[monitor]\nlisten = "127.0.0.1:{taken.getsockname()[1]}"\n')
        begun.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "not reloaded: cannot listen" in begun.log.read_text())
        assert shows(first, "ksmrun_alerts")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--map-reserve=-5%"], "a share from 0% to 99%"),
        (["--map-reserve=100%"], "a share from 0% to 99%"),
        (["--interval=0"], "a time in seconds from 0.1 to 3600"),
        (["--listen=9739"], "is not an address"),
        (["--textfile=/proc"], "cannot write to /proc"),
        (["--textfile=/no/such/folder"], "cannot write to /no/such/folder"),
        (["--config=/no/such/file"], "does not exist"),
        (["--log=xml"], "plain or json"),
        (["--raise-map-count-to=10"], "a whole number from 65530 to 2147483647"),
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
