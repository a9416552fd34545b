"""`ksmrun host` on this host's real KSM."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ksm_at_boot import KSM
from volume import IS_LONG
from waiting import wait_until

from .conftest import Run, start_equal_programs, stop, value

pytestmark = pytest.mark.host_ksm


def test_on_off_and_restore(run: Run) -> None:
    assert value("run") == "0"
    done = run("host", "on")
    assert done.returncode == 0
    assert "run: 0 -> 1" in done.stdout
    assert re.search(r"undo: sudo \S*ksmrun host restore", done.stdout)
    assert value("run") == "1"
    assert run("host", "on").stdout == "run: 1 already\n"
    run("host", "off")
    run("host", "unmerge")
    assert value("run") == "2"
    assert run("host", "restore").stdout == "run: 2 -> 0\n"
    assert value("run") == "0"
    assert "nothing to restore" in run("host", "restore").stdout


def test_set_and_its_refusals(run: Run) -> None:
    assert run("host", "set", "pages_to_scan=2000", "sleep_millisecs=5").returncode == 0
    assert (value("pages_to_scan"), value("sleep_millisecs")) == ("2000", "5")
    done = run("host", "set", "pages_to_scan=-1")
    assert done.returncode == 2
    assert "give a whole number from 0 to 4294967295" in done.stderr
    done = run("host", "set", "bogus=1")
    assert done.returncode == 2
    assert "pages_to_scan" in done.stderr, "the tunables there are"
    for bad in ("pages_to_scan", "=1", "pages_to_scan="):
        assert run("host", "set", bad).returncode == 2
    run("host", "restore")
    assert (value("pages_to_scan"), value("sleep_millisecs")) == ("100", "20")


def test_advisor(run: Run) -> None:
    """EINVAL is explained; restoring brings back what the advisor overwrote."""
    run("host", "set", "pages_to_scan=300")
    assert run("host", "set", "advisor_mode=scan-time").returncode == 0
    done = run("host", "set", "pages_to_scan=400")
    assert done.returncode == 1
    assert "advisor" in done.stderr
    assert "advisor_mode=none" in done.stderr
    assert run("host", "restore").returncode == 0
    assert (value("pages_to_scan"), value("advisor_mode")) == ("100", "[none] scan-time")


def test_restore_on_a_host_with_an_advisor(run: Run, launcher: str) -> None:
    """The advisor's own pages_to_scan cannot be written back; that unmerges nothing."""
    run("host", "set", "advisor_target_scan_time=2", "advisor_mode=scan-time", "run=1")
    shutil.copytree(os.environ["KSMRUN_STATE_DIR"], os.environ["KSMRUN_STATE_DIR"] + "-outer")
    shutil.rmtree(os.environ["KSMRUN_STATE_DIR"])
    programs = start_equal_programs(launcher, 2)
    try:
        wait_until(lambda: int(value("pages_shared")) > 1000)
        run("host", "set", "advisor_mode=none", "pages_to_scan=2000", "sleep_millisecs=21")
        done = run("host", "restore")
        assert done.returncode == 0, done.stderr
        assert "left to the advisor" in done.stdout
        assert (value("advisor_mode"), value("sleep_millisecs")) == ("none [scan-time]", "20")
        assert (value("run"), int(value("pages_shared")) > 1000) == ("1", True)
        assert "nothing to restore" in run("host", "restore").stdout
    finally:
        stop(programs)
        shutil.copytree(
            os.environ["KSMRUN_STATE_DIR"] + "-outer",
            os.environ["KSMRUN_STATE_DIR"],
            dirs_exist_ok=True,
        )


def test_values_that_the_kernel_would_rewrite(run: Run) -> None:
    """The record contains what the kernel shows later; otherwise restore would not recognise it."""
    for setting in ("sleep_millisecs=030", "pages_to_scan=+500"):
        assert run("host", "set", setting).returncode == 0
    for setting in ("use_zero_pages=on", "pages_to_scan=5x", "pages_to_scan=\udcff"):
        done = run("host", "set", setting)
        assert done.returncode == 2
        assert "is not a number; give" in done.stderr
    assert run("host", "restore").returncode == 0
    assert [value(n) for n in ("pages_to_scan", "sleep_millisecs")] == ["100", "20"]


def test_half_done_is_said(run: Run) -> None:
    done = run("host", "set", "sleep_millisecs=30", "pages_to_scan=-5")
    assert done.returncode == 1
    assert "done before: sleep_millisecs: 20 -> 30" in done.stderr
    run("host", "restore")


def test_two_writers_at_once(run: Run, ksmrun: str) -> None:
    """Their changes are all in the one record: restore undoes everything."""
    settings = ("pages_to_scan=111", "sleep_millisecs=11", "use_zero_pages=1", "run=1")
    for _ in range(5):
        writers = [
            subprocess.Popen([ksmrun, "host", "set", setting], stdout=subprocess.DEVNULL)
            for setting in settings
        ]
        assert [writer.wait() for writer in writers] == [0] * len(writers)
        lines = run("host", "restore").stdout.splitlines()
        assert len(lines) == len(settings), lines
        for setting in settings:
            name, _, _ = setting.partition("=")
            assert value(name) == {"pages_to_scan": "100", "sleep_millisecs": "20"}.get(name, "0")


def test_boot_file_is_restored_too(ksmrun: str, tmp_path: Path) -> None:
    """In a mount namespace whose /etc/tmpfiles.d is empty."""
    folder = "/etc/tmpfiles.d"
    line = f"{ksmrun} host on --boot; cat {folder}/*; {ksmrun} host restore; ls {folder}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"mount -t tmpfs none {folder} && {{ {line}; }}"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "KSMRUN_STATE_DIR": str(tmp_path)},
    )
    assert "w /sys/kernel/mm/ksm/run - - - - 1" in done.stdout
    assert done.stdout.endswith("/etc/tmpfiles.d/ksmrun.conf deleted\n")


def test_what_needs_nothing_merged(run: Run, launcher: str) -> None:
    """EBUSY is explained; restore unmerges by itself if the memory fits."""
    # With smart_scan two equal copies may never be scanned in the same full scan.
    fast = ("pages_to_scan=100000", "sleep_millisecs=0", "smart_scan=0", "run=1")
    # Pages of programs that have ended count as merged until they are scanned or unmerged.
    (KSM / "run").write_text("2")
    (KSM / "run").write_text("0")
    assert run("host", "set", "max_page_sharing=300", *fast).returncode == 0
    programs = start_equal_programs(launcher, 2)
    try:
        wait_until(lambda: int(value("pages_shared")) > 1000)
        done = run("host", "set", "max_page_sharing=400")
        assert done.returncode == 1
        assert "can only change while nothing is merged" in done.stderr
        assert "ksmrun host unmerge" in done.stderr
        assert run("host", "restore").returncode == 0
        assert (value("max_page_sharing"), value("run")) == ("256", "0")
        assert value("pages_shared") == "0"
    finally:
        stop(programs)


def test_restore_after_kill_9(run: Run, ksmrun: str) -> None:
    """Killed at any moment of a change: restore completes it."""
    for delay in range(0, 24, 1 if IS_LONG else 4):
        process = subprocess.Popen(
            [ksmrun, "host", "set", "pages_to_scan=1234", "sleep_millisecs=7", "run=1"],
            stdout=subprocess.DEVNULL,
        )
        time.sleep(0.1 + delay * 0.006)
        process.kill()
        process.wait()
        assert run("host", "restore").returncode == 0
        assert [value(n) for n in ("pages_to_scan", "sleep_millisecs", "run")] == ["100", "20", "0"]


@pytest.mark.parametrize("victim", ["measurer", "both"])
def test_a_killed_measurement_gives_ksm_back(run: Run, tmp_path: Path, victim: str) -> None:
    """kill -9 of the measurer: its guardian restores KSM. Of both: `ksmrun host restore` does."""
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from ksmrun.host.temporary_tunables import borrowed\n"
        "with borrowed({'run': '1', 'pages_to_scan': '4321'}, Path(sys.argv[1])):\n"
        "    print('borrowed', flush=True)\n    time.sleep(60)\n"
    )
    state = tmp_path / "state"
    measurer = subprocess.Popen(
        [sys.executable, "-c", code, state], stdout=subprocess.PIPE, text=True
    )
    assert measurer.stdout is not None
    assert measurer.stdout.readline() == "borrowed\n"
    assert (value("run"), value("pages_to_scan")) == ("1", "4321")
    busy = run("host", "restore")
    assert f"left to the measurement of PID {measurer.pid}" in busy.stdout
    assert value("run") == "1"
    if victim == "both":
        children = Path(f"/proc/{measurer.pid}/task/{measurer.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
    measurer.kill()
    measurer.wait()
    if victim == "both":
        time.sleep(0.3)
        assert value("run") == "1"
        assert run("host", "restore").returncode == 0
    wait_until(lambda: value("run") == "0" and value("pages_to_scan") == "100")
    wait_until(lambda: not list(state.glob("borrowed-*")))


def test_without_root(ksmrun: str, nobody: tuple[str, ...]) -> None:
    for arguments in (["on"], ["set", "pages_to_scan=1"], ["restore"], ["unmerge", "--force"]):
        command = [*nobody, ksmrun, "host", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.rstrip().endswith(shlex.join(["sudo", ksmrun, "host", *arguments]))


def test_show(run: Run) -> None:
    found = json.loads(run("host", "show", "--json").stdout)
    assert found["tunables"]["run"] == 0
    assert {file.name for file in KSM.iterdir()} == {*found["tunables"], *found["counters"]}
    text = run("host", "show").stdout
    for name in (*found["tunables"], *found["counters"]):
        assert name in text
    # Processes that ended while ksmd was off are still counted, until it runs again.
    saved_pages = int(value("pages_sharing")) + max(0, int(value("ksm_zero_pages")))
    assert f"saved: {saved_pages * 4096 / (1 << 20):.1f} MiB" in text
