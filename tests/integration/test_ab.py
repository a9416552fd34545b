"""`ksmrun ab` with real fleets: what it finds, what it refuses, and that nothing remains."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from ksm_at_boot import tunables
from waiting import LAST_RESORT_SECONDS, wait_until

from .conftest import value
from .support.experiments import (
    EQUAL,
    READY,
    Ab,
    ab,
    command,
    folder,
    marked,
    python,
)

pytestmark = pytest.mark.host_ksm

__all__ = ["ab", "command", "folder"]

LONG = pytest.mark.long_run
LATER = [pytest.param(number, marks=LONG) for number in (signal.SIGTERM, signal.SIGHUP)]


def test_what_merging_saves(ab: Ab, folder: Path, ksmrun: str) -> None:
    before = tunables()
    done = ab("-n3", "--rounds=2", "--ready-stdout=^ready$", *python(EQUAL + READY))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("on saves 1")
    assert "too few to be certain" in done.stdout
    assert tunables() == before
    report = subprocess.run(
        [ksmrun, "report", "--json", folder], capture_output=True, text=True, check=True
    )
    found = json.loads(report.stdout)
    assert found["rounds"] == 2
    (verdict,) = found["verdicts"]
    primary = verdict["differences"][0]
    # Two of three copies of 8 MiB.
    assert primary["metric"] == "pss_bytes"
    assert 0.9 < -primary["mean"] / (2 * (8 << 20)) < 1.2
    metrics = {each["metric"]: each for each in verdict["differences"]}
    assert metrics["settle_seconds"]["base_mean"] == 0
    assert metrics["ksmd_cpu_seconds"]["arm_mean"] > 0
    # From the contents of the pages: two of three copies could merge, and nearly all did.
    could = metrics["mergeable_bytes"]
    # Besides the data, what the Python processes have in common.
    assert 0.9 < could["base_mean"] / (2 * (8 << 20)) < 1.8
    assert 0.9 < metrics["merged_bytes"]["arm_mean"] / could["arm_mean"] <= 1
    assert "of what could merge has merged" in done.stdout
    # A busy host may add some.
    assert any("started 0.05 s apart" in what for what, _ in found["warnings"])
    assert found["scan_rate"] == ["1000000 pages at a time without a rest"]
    assert {each["arm"] for each in found["maps"]} == {"off", "on"}
    assert "KSM scans: 1000000 pages at a time" in done.stdout
    for file in (folder / "rounds").glob("*.jsonl"):
        samples = [json.loads(line) for line in file.read_text().splitlines()]
        assert {"before", "starting", "hold"} <= {each["phase"] for each in samples}
    results = [json.loads(file.read_text()) for file in (folder / "rounds").glob("*.json")]
    assert all(each["sampling_cpu_share"] < 0.5 for each in results)
    again = subprocess.run([ksmrun, "report", folder], capture_output=True, text=True, check=True)
    assert again.stdout == done.stdout


def test_another_rate_while_measuring(ab: Ab, folder: Path) -> None:
    """Only during the hold; then the experiment's own again, and finally the host's."""
    before = tunables()
    rate = "cat /sys/kernel/mm/ksm/pages_to_scan"
    done = ab(
        *("-n2", "--rounds=1", "--ksm=pages_to_scan=3000", "--ready-stdout=ready"),
        *("--hold=1.5", "--hold-ksm=pages_to_scan=50", f"--metric-cmd=rate={rate}"),
        *("--fleet-load=sh -c 'cat /sys/kernel/mm/ksm/pages_to_scan; sleep 100'",),
        *python(EQUAL + READY),
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((folder / "rounds/001-on.json").read_text())["metrics"]
    assert metrics["rate"] == 50
    assert "while measuring: pages_to_scan=50" in done.stdout
    assert tunables() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ready-after=0", "--ksm=nope=1", "--", "sleep", "99"], "nope"),
        (["--ready-after=5", "--", "true"], "ended with 0"),
    ],
)
def test_what_is_refused(ab: Ab, arguments: list[str], said: str) -> None:
    """And KSM is as before."""
    before = tunables()
    done = ab("-n2", "--rounds=1", *arguments)
    assert done.returncode in (1, 2), done.stderr
    assert said in done.stderr
    assert "; " in done.stderr
    assert "Traceback" not in done.stderr
    assert tunables() == before


# Each copy has a child that has left its group and session.
LEAVES = (
    "import subprocess, sys; subprocess.Popen(['sleep', sys.argv[1]], start_new_session=True); "
)


@pytest.fixture
def running(command: list[str], tmp_path: Path) -> Iterator[tuple[psutil.Process, str]]:
    """Run an experiment; yield when its fleet is up, with the word that marks its processes."""
    mark = f"{1_000_000 + os.getpid() % 1000}.{time.monotonic_ns()}"
    code = "import time; " + LEAVES + READY
    (tmp_path / "scratch").mkdir()
    process = subprocess.Popen(
        [*command, "-n2", "--rounds=2", "--hold=60", "--ready-stdout=ready", *python(code, mark)],
        env={
            **os.environ,
            "KSMRUN_STATE_DIR": str(tmp_path / "state"),
            "TMPDIR": str(tmp_path / "scratch"),
        },
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: len(marked(mark)) == 4)
        yield psutil.Process(process.pid), mark
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(LAST_RESORT_SECONDS)
        for left in marked(mark):
            left.kill()


@pytest.mark.parametrize("victim", ["keeper", "worker"])
def test_killed(running: tuple[psutil.Process, str], victim: str, tmp_path: Path) -> None:
    keeper, mark = running
    (worker,) = keeper.children()
    wait_until(lambda: value("run") == "1")
    (keeper if victim == "keeper" else worker).kill()
    wait_until(lambda: not marked(mark))
    wait_until(lambda: value("run") == "0" and value("pages_to_scan") == "100")
    wait_until(lambda: not worker.is_running())
    wait_until(lambda: not list((tmp_path / "scratch").iterdir()))


def test_all_of_the_group_killed(running: tuple[psutil.Process, str]) -> None:
    """As `timeout -s KILL` does."""
    keeper, mark = running
    (worker,) = keeper.children()
    os.killpg(keeper.pid, signal.SIGKILL)
    wait_until(lambda: not marked(mark))
    wait_until(lambda: value("run") == "0" and not worker.is_running())


@pytest.mark.parametrize("number", [signal.SIGINT, *LATER])
def test_ended_from_outside(running: tuple[psutil.Process, str], number: signal.Signals) -> None:
    keeper, mark = running
    # A terminal sends its signals to the whole group.
    os.killpg(keeper.pid, number)
    assert keeper.wait(LAST_RESORT_SECONDS) is not None
    assert not marked(mark)
    assert value("run") == "0"


def test_ctrl_c_again_and_again(running: tuple[psutil.Process, str]) -> None:
    """An impatient user cannot interrupt the clean-up."""
    keeper, mark = running
    with suppress(ProcessLookupError):
        for _ in range(8):
            os.killpg(keeper.pid, signal.SIGINT)
            time.sleep(0.15)
    assert keeper.wait(LAST_RESORT_SECONDS) is not None
    assert not marked(mark)
    assert value("run") == "0"


def test_one_at_a_time(running: tuple[psutil.Process, str], ab: Ab, tmp_path: Path) -> None:
    keeper, _ = running
    (worker,) = keeper.children()
    done = ab(f"--output={tmp_path / 'other'}", "--ready-after=0", "--", "sleep", "99")
    assert done.returncode == 1
    assert f"another experiment is running on this host, as PID {worker.pid}" in done.stderr
