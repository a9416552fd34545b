"""Names, readers, disks, clocks and crowds that must not end, block or mislead the monitor."""

from __future__ import annotations

import fcntl
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS, wait_until

from .support.experiments import with_copied_ksm
from .support.monitors import (
    MANY_MAPS,
    Begin,
    Start,
    limit_put_back,
    monitor,
    refused,
    scrape_file,
    small_disk,
    start,
    waits_for_signals,
)

pytestmark = pytest.mark.own_pids

__all__ = ["limit_put_back", "monitor", "small_disk", "start"]

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
# PR_SET_NAME, and PR_SET_MEMORY_MERGE off once its stdin is closed.
ODD_NAME = """
import ctypes, sys, time
libc = ctypes.CDLL(None)
assert libc.prctl(15, b"a\\xff\\n\\x1b[31m\\"", 0, 0, 0) == 0
print("ready", flush=True)
sys.stdin.read()
assert libc.prctl(67, 0, 0, 0, 0) == 0
time.sleep(1000)
"""
ENDS = "import sys; print('ready', flush=True); sys.stdin.read()"


@pytest.mark.parametrize("form", ["plain", "json"])
def test_a_name_of_any_bytes(monitor: Begin, start: Start, tmp_path: Path, form: str) -> None:
    process = start(ODD_NAME)
    begun = monitor(f"--textfile={tmp_path}", "--by-pid", f"--log={form}")
    # Prometheus and JSON double a backslash.
    name, twice = rb"a\xff\x0a\x1b[31m", rb"a\\xff\\x0a\\x1b[31m"
    shown = f'command="{twice.decode()}\\"",container="",namespace="",pid="{process.pid}"'
    wait_until(lambda: shown in scrape_file(tmp_path))
    assert process.stdin is not None
    process.stdin.close()
    wait_until(lambda: "flag-lost" in begun.log.read_text())
    (line,) = [line for line in begun.log.read_bytes().splitlines() if b"flag-lost" in line]
    assert (twice if form == "json" else name) in line and b"\x1b" not in line


def test_a_zombie_waits_for_nothing(monitor: Begin, start: Start, tmp_path: Path) -> None:
    process = start(ENDS)
    begun = monitor(prefix=with_copied_ksm(tmp_path / "ksm", run="0"))
    begun.wait_for(kind="ksmd-off", state="raised")
    assert process.stdin is not None
    process.stdin.close()
    begun.wait_for(kind="ksmd-off", state="cleared")
    state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    assert state == "Z"


@pytest.mark.usefixtures("limit_put_back")
def test_the_limit_follows_what_stands(monitor: Begin, start: Start, tmp_path: Path) -> None:
    """A standing alert is not raised again, but may need a higher limit."""
    start(MANY_MAPS, 36_000)
    limit, config = Path("/proc/sys/vm/max_map_count"), tmp_path / "config.toml"
    told = '[monitor]\nmap_reserve = 0.5\ninterval = 0.3\nlog = "json"\n'
    config.write_text(f"{told}raise_map_count_to = 70000\n")
    begun = monitor(f"--config={config}", KSMRUN_STATE_DIR=str(tmp_path / "state"))
    begun.wait_for(kind="map-headroom", state="raised")
    wait_until(lambda: limit.read_text() == "70000\n")
    begun.wait_for(level="error")
    config.write_text(f"{told}raise_map_count_to = 200000\n")
    begun.process.send_signal(signal.SIGHUP)
    begun.wait_for(kind="map-headroom", state="cleared")
    assert limit.read_text() == "131072\n"
    assert sum(line["level"] == "error" for line in begun.lines()) == 1


def test_a_log_on_a_full_disk(ksmrun: str, small_disk: Path) -> None:
    """Its lines are lost while it is full, and written again afterwards."""
    log, fill = small_disk / "log", small_disk / "fill"
    with log.open("ab") as output:
        process = subprocess.Popen([ksmrun, "monitor", "--interval=0.3"], stdout=output)
    try:
        wait_until(lambda: waits_for_signals(process.pid))
        fill.write_bytes(bytes(64 << 10 if log.stat().st_size == 0 else 60 << 10))
        log_room = (-log.stat().st_size) % 4096
        with log.open("ab") as padding:
            padding.write(b"\n" * log_room)
        process.send_signal(signal.SIGHUP)
        time.sleep(1)
        assert b"reloaded" not in log.read_bytes()
        fill.unlink()
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: b"info: reloaded\n" in log.read_bytes())
        assert re.search(rb"warning: \d+ lines could not be written\n", log.read_bytes())
    finally:
        process.terminate()
        assert process.wait(LAST_RESORT_SECONDS) == 0


def test_a_reader_that_does_not_read(ksmrun: str) -> None:
    """A full pipe blocks neither the monitor nor its end."""
    process = subprocess.Popen([ksmrun, "monitor", "--interval=0.1"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    wait_until(lambda: waits_for_signals(process.pid))
    for _ in range(400):
        process.send_signal(signal.SIGHUP)
        time.sleep(0.01)
    begun = time.monotonic()
    process.terminate()
    assert process.wait(LAST_RESORT_SECONDS) == 0
    assert time.monotonic() - begun < 5
    assert len(process.communicate()[0]) <= 4096


def test_two_monitors(monitor: Begin, ksmrun: str, tmp_path: Path) -> None:
    begun = monitor(f"--textfile={tmp_path}")
    wait_until(lambda: scrape_file(tmp_path) != "")
    assert "another monitor writes to" in refused(ksmrun, f"--textfile={tmp_path}")
    assert scrape_file(tmp_path) != ""
    begun.process.kill()
    begun.process.wait()
    left = scrape_file(tmp_path)
    after = monitor(f"--textfile={tmp_path}")
    wait_until(lambda: scrape_file(tmp_path) != left)
    assert after.process.poll() is None


def test_peaks_that_cannot_be_kept(monitor: Begin, start: Start) -> None:
    start(ENDS)
    begun = monitor(KSMRUN_STATE_DIR="/proc/none")
    said = begun.wait_for(level="error")["message"]
    assert said.startswith("cannot write /proc/none/peaks.json: ")


def test_thousands_of_short_processes(
    monitor: Begin, start: Start, launcher: str, tmp_path: Path
) -> None:
    """None ends it, none is kept, and one that stays is found among them."""
    begun = monitor("--interval=0.1", f"--textfile={tmp_path}", "--by-pid")
    line = f"i=0; while [ $i -lt 1000 ]; do {launcher} --quiet -- true; i=$((i+1)); done"
    crowd = [subprocess.Popen(["sh", "-c", line]) for _ in range(3)]
    stays = start(ENDS)
    for each in crowd:
        assert each.wait(LAST_RESORT_SECONDS) == 0
    wait_until(lambda: f'pid="{stays.pid}"' in scrape_file(tmp_path))
    wait_until(lambda: scrape_file(tmp_path).count("ksmrun_processes{") == 1)
    assert len(list(Path(f"/proc/{begun.process.pid}/fd").iterdir())) < 32


def test_more_processes_than_descriptors(ksmrun: str, start: Start, tmp_path: Path) -> None:
    """As many as fit are watched, the others are counted."""
    for _ in range(6):
        start(ENDS)
    line = ["prlimit", "--nofile=35", ksmrun, "monitor", "--interval=0.3"]
    process = subprocess.Popen([*line, f"--textfile={tmp_path}"], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: "ksmrun_unreadable_processes 3.0\n" in scrape_file(tmp_path))
        assert 'command="python' in scrape_file(tmp_path)
    finally:
        process.terminate()
        assert process.wait(LAST_RESORT_SECONDS) == 0


@pytest.mark.host_ksm
def test_a_clock_that_jumps(monitor: Begin, start: Start, tmp_path: Path) -> None:
    """Only the wall clock jumps; the monitor uses the monotonic one."""
    start(ENDS)
    clock = tmp_path / "clock"
    clock.write_text("+0")
    begun = monitor(
        f"--textfile={tmp_path}",
        LD_PRELOAD=FAKETIME,
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    for jump_seconds in (0, 86_400, -86_400):
        clock.write_text(f"{jump_seconds:+d}")

        def follows(wanted: float = jump_seconds) -> bool:
            lines = scrape_file(tmp_path).splitlines()
            key = "ksmrun_last_sample_timestamp_seconds "
            stamps = [float(line.removeprefix(key)) for line in lines if line.startswith(key)]
            return bool(stamps) and abs(stamps[0] - time.time() - wanted) < 60

        wait_until(follows)
    assert begun.process.poll() is None
    assert {line["kind"] for line in begun.lines() if "kind" in line} == {"ksmd-off"}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--on-alert=", "on_alert is empty"),
        ("--on-alert=mail 'root", "No closing quotation"),
        ("--listen=127.0.0.1:\u00b2", "is not an address"),
        ("--listen=127.0.0.1:" + "9" * 5000, "is not an address"),
        ("--listen=127.0.0.1:-1", "is not an address"),
    ],
)
def test_bad_input(ksmrun: str, option: str, said: str) -> None:
    assert said in refused(ksmrun, option)


def test_an_option_without_effect_is_told(monitor: Begin) -> None:
    watching = monitor("--max-cpu=20%")
    wait_until(lambda: "--max-cpu has no effect without --auto" in watching.log.read_text())


def test_nothing_is_left_open_without_stdout(ksmrun: str) -> None:
    """Its first file would get stdout's number, and the log would go there."""
    code = "import os, sys; os.close(1); os.execv(sys.argv[1], sys.argv[1:])"
    line = [sys.executable, "-c", code, ksmrun, "monitor", "--interval=0.2"]
    process = subprocess.Popen(line, stderr=subprocess.PIPE)
    wait_until(lambda: waits_for_signals(process.pid))
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    process.terminate()
    assert process.wait(LAST_RESORT_SECONDS) == 0
    assert process.communicate()[1] == b""
