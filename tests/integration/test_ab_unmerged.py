"""`ksmrun ab` with arms that do not merge: whatever does not depend on KSM.

ksmrun reads a copy of KSM's files there, as another test may be setting them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from volume import IS_LONG

from .support.experiments import (
    EQUAL,
    READY,
    UNMERGED,
    Ab,
    folder,
    marked,
    python,
    still,
    unmerged_ab,
    warned,
)

# They look for fleets among all processes.
pytestmark = pytest.mark.own_pids

__all__ = ["folder", "still", "unmerged_ab"]

ROUNDS = 6 if IS_LONG else 2
ONCE = ("-n2", "--rounds=1", "--ready-stdout=ready")
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
# sh restarts the server whenever it ends.
SUPERVISED = f"""
while :; do {sys.executable} -c "{EQUAL} print('ready', flush=True); time.sleep(1.5)"; done
"""
EXECS = EQUAL + (
    "print('ready', flush=True); time.sleep(1.5); import os, sys; "
    "os.execv(sys.executable, [sys.executable, '-c', sys.orig_argv[2]])"
)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ready-after=0", "--", "/nonexistent/program"], "ended with 127"),
        (["--ready-after=5", "--", "sh", "-c", "echo oh; exit 3"], "ended with 3"),
        (["--ready-timeout=0.3", "--ready-file=/nonexistent", "--", "sleep", "99"], "is not ready"),
        (
            ["--ready-after=0", "--load=/nonexistent", "--", "sleep", "99"],
            "cannot start --load /nonexistent:",
        ),
    ],
)
def test_what_is_refused(unmerged_ab: Ab, arguments: list[str], said: str) -> None:
    """What only shows once it has begun."""
    done = unmerged_ab("-n2", *UNMERGED, "--rounds=1", *arguments)
    assert done.returncode in (1, 2), done.stderr
    assert said in done.stderr
    assert "; " in done.stderr
    assert "Traceback" not in done.stderr


def test_two_arms_that_are_equal(unmerged_ab: Ab, folder: Path, ksmrun: str) -> None:
    """A/A: no difference that would be noticed."""
    arms = ("--arm=a=--merge=off", "--arm=b=--merge=off")
    done = unmerged_ab(
        *arms, "-n2", f"--rounds={ROUNDS}", "--ready-stdout=ready", *python(EQUAL + READY)
    )
    assert done.returncode == 0, done.stderr
    report = subprocess.run(
        [ksmrun, "report", "--json", folder], capture_output=True, text=True, check=True
    )
    (verdict,) = json.loads(report.stdout)["verdicts"]
    assert abs(verdict["differences"][0]["share"]) < 0.05


def test_load_and_metrics(unmerged_ab: Ab, folder: Path) -> None:
    load = f"{sys.executable} -uc 'import time; print(\"p99: 70\"); time.sleep(99)' {{i}}"
    done = unmerged_ab(
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
    unmerged_ab: Ab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python looks into the working directory first: a source tree, or another's package."""
    (tmp_path / "ksmrun").mkdir()
    (tmp_path / "ksmrun/__init__.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    done = unmerged_ab("-n1", *UNMERGED, "--rounds=1", "--ready-after=0", "--", "sleep", "99")
    assert done.returncode == 0, done.stderr


def test_what_forks_away(unmerged_ab: Ab, folder: Path) -> None:
    """A daemonised process belongs to the fleet, and does not live on into the next turn."""
    mark = f"{1_000_000 + os.getpid() % 1000}.{time.monotonic_ns()}"
    fleet = ("-n2", *UNMERGED, "--rounds=2", "--ready-stdout=ready")
    done = unmerged_ab(*fleet, *python(FORKS_AWAY + READY, mark))
    assert done.returncode == 0, done.stderr
    files = sorted((folder / "rounds").glob("*.jsonl"))
    assert len(files) == 4
    for file in files:
        samples = [json.loads(line) for line in file.read_text().splitlines()]
        assert {each["processes"] for each in samples if each["phase"] == "hold"} == {4}
    assert not marked(mark)


def test_going_on(
    unmerged_ab: Ab, still: list[str], folder: Path, ksmrun: str, tmp_path: Path
) -> None:
    """Existing results are kept; missing ones are measured."""
    rounds = f"--rounds={2 if IS_LONG else 1}"
    done = unmerged_ab("-n2", *UNMERGED, rounds, "--ready-stdout=ready", *python(EQUAL + READY))
    assert done.returncode == 0
    files = sorted((folder / "rounds").glob("*.json"))
    kept, removed = files[0].read_bytes(), files[-1]
    for missing in {removed, folder / "rounds/001-on.json"}:
        missing.unlink()
    # A new run must not take the folder.
    assert "is not empty" in unmerged_ab("--ready-after=0", "--", "sleep", "9").stderr
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
        [*still, ksmrun, "ab", "--resume", folder],
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


@pytest.mark.parametrize(
    "words",
    [
        ("sh", "-c", SUPERVISED),
        pytest.param((sys.executable, "-c", EXECS), marks=pytest.mark.long_run),
    ],
)
def test_an_instance_started_anew(unmerged_ab: Ab, folder: Path, words: tuple[str, ...]) -> None:
    done = unmerged_ab(*ONCE, *UNMERGED, "--hold=4", "--", *words)
    assert done.returncode == 0, done.stderr
    assert any("restarted while measuring" in what for what in warned(folder)["off"])


def test_an_instance_that_died(unmerged_ab: Ab, folder: Path) -> None:
    """The first copy dies during the measurement: its turn does not count."""
    code = f"import os; open('pid', 'w').write(str(os.getpid())); {EQUAL}{READY}"
    kill = "sh -c 'sleep 0.5; kill -9 $(cat {dir}/pid); sleep 99'"
    done = unmerged_ab(*ONCE, *UNMERGED, f"--fleet-load={kill}", "--hold=10", *python(code))
    assert done.returncode == 1
    assert "was killed by SIGKILL; its output ends: ready" in done.stderr
    assert f"continue with: ksmrun ab --resume {folder}" in done.stderr
    assert not list((folder / "rounds").glob("*.json"))
