"""`ksmrun ab` with real fleets: what it finds, what it refuses, and that nothing remains."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from ksm_at_boot import tunables
from volume import IS_LONG
from waiting import LAST_RESORT_SECONDS, wait_until

from .conftest import value
from .support.experiments import (
    EQUAL,
    READY,
    UNMERGED,
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
ROUNDS = 6 if IS_LONG else 2
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


def test_two_arms_that_are_equal(ab: Ab, folder: Path, ksmrun: str) -> None:
    """A/A: no difference that would be noticed."""
    arms = ("--arm=a=--merge=off", "--arm=b=--merge=off")
    done = ab(*arms, "-n2", f"--rounds={ROUNDS}", "--ready-stdout=ready", *python(EQUAL + READY))
    assert done.returncode == 0, done.stderr
    report = subprocess.run(
        [ksmrun, "report", "--json", folder], capture_output=True, text=True, check=True
    )
    (verdict,) = json.loads(report.stdout)["verdicts"]
    assert abs(verdict["differences"][0]["share"]) < 0.05


def test_load_and_metrics(ab: Ab, folder: Path) -> None:
    load = f"{sys.executable} -uc 'import time; print(\"p99: 70\"); time.sleep(99)' {{i}}"
    done = ab(
        *("-n2", *UNMERGED, "--rounds=1", "--ready-stdout=ready", f"--load={load}"),
        *("--metric=p99=p99: ([0-9.]+)", "--metric-cmd=cpus=nproc"),
        *python(EQUAL + READY),
    )
    assert done.returncode == 0, done.stderr
    (first, *_) = (folder / "rounds").glob("*.json")
    metrics = json.loads(first.read_text())["metrics"]
    assert metrics["p99"] == 70
    lines = first.with_suffix(".samples.jsonl").read_text().splitlines()
    numbers = [json.loads(line)["own"].get("cpus") for line in lines]
    assert [os.cpu_count()] in numbers
    assert metrics["cpus"] == os.cpu_count()
    assert "p99" in done.stdout


def test_a_folder_that_is_named_as_we_are(
    ab: Ab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python looks into the working directory first: a source tree, or another's package."""
    (tmp_path / "ksmrun").mkdir()
    (tmp_path / "ksmrun/__init__.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    done = ab("-n1", *UNMERGED, "--rounds=1", "--ready-after=0", "--", "sleep", "99")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ready-after=0", "--ksm=nope=1", "--", "sleep", "99"], "nope"),
        (["--ready-after=0", "--", "/nonexistent/program"], "ended with 127"),
        (["--ready-after=5", "--", "true"], "ended with 0"),
        (["--ready-after=5", "--", "sh", "-c", "echo oh; exit 3"], "ended with 3"),
        (["--ready-timeout=0.3", "--ready-file=/nonexistent", "--", "sleep", "99"], "is not ready"),
        (
            ["--ready-after=0", "--load=/nonexistent", "--", "sleep", "99"],
            "cannot start --load /nonexistent:",
        ),
    ],
)
def test_what_is_refused(ab: Ab, arguments: list[str], said: str) -> None:
    """What only shows once it has begun."""
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


# The child's child is reparented to whoever adopts it.
FORKS_AWAY = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(0)
os.wait()
"""


def test_what_forks_away(ab: Ab, folder: Path) -> None:
    """A daemonised process belongs to the fleet, and does not live on into the next turn."""
    mark = f"{1_000_000 + os.getpid() % 1000}.{time.monotonic_ns()}"
    fleet = ("-n2", *UNMERGED, "--rounds=2", "--ready-stdout=ready")
    done = ab(*fleet, *python(FORKS_AWAY + READY, mark))
    assert done.returncode == 0, done.stderr
    files = sorted((folder / "rounds").glob("*.jsonl"))
    assert len(files) == 4
    for file in files:
        samples = [json.loads(line) for line in file.read_text().splitlines()]
        assert {each["processes"] for each in samples if each["phase"] == "hold"} == {4}
    assert not marked(mark)


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


def test_going_on(ab: Ab, folder: Path, ksmrun: str, tmp_path: Path) -> None:
    """Existing results are kept; missing ones are measured."""
    rounds = f"--rounds={2 if IS_LONG else 1}"
    done = ab("-n2", *UNMERGED, rounds, "--ready-stdout=ready", *python(EQUAL + READY))
    assert done.returncode == 0
    files = sorted((folder / "rounds").glob("*.json"))
    kept, removed = files[0].read_bytes(), files[-1]
    for missing in {removed, folder / "rounds/001-on.json"}:
        missing.unlink()
    # A new run must not take the folder.
    assert "is not empty" in ab("--ready-after=0", "--", "sleep", "9").stderr
    report = subprocess.run([ksmrun, "report", folder], capture_output=True, text=True, check=False)
    assert report.returncode == 1
    assert "no complete round" in report.stderr
    other = subprocess.run(
        [ksmrun, "ab", "--resume", folder, "--rounds=3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "--resume reads everything from its folder, and --rounds" in other.stderr
    again = subprocess.run(
        [ksmrun, "ab", "--resume", folder],
        env={**os.environ, "KSMRUN_STATE_DIR": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert files[0].read_bytes() == kept
    assert removed.exists()
    damaged = folder / "rounds/001-off.json"
    damaged.write_bytes(kept[:50])
    report = subprocess.run([ksmrun, "report", folder], capture_output=True, text=True, check=False)
    assert report.returncode == 1
    assert "is damaged" in report.stderr
    assert "Traceback" not in report.stderr
