"""Loads of experiments: when they start, and what of their output counts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from ksmrun.experiment import traffic
from ksmrun.experiment.custom_metrics import CustomMetrics
from ksmrun.experiment.placeholders import Instance
from ksmrun.experiment.traffic import planned_load
from ksmrun.model.experiment import ExperimentPlan, Metric, Ready

from .support.experiments import (
    EQUAL,
    READY,
    UNMERGED,
    Ab,
    ab,
    command,
    folder,
    python,
    still,
    unmerged_ab,
)

__all__ = ["ab", "command", "folder", "still", "unmerged_ab"]
FIRST = Instance(0, "on", "/tmp")
ONCE = ("-n1", "--rounds=1", "--ready-stdout=ready")
# Prints its figure when it ends, as redis-benchmark, wrk and pgbench do.
SHORT = "import time; time.sleep({}); print('rps:', {})"
# Prints only when it is told to end, and never ends by itself.
ENDLESS = (
    "import signal, sys, time;"
    " signal.signal(signal.SIGINT, lambda *_: (print('rps: 7'), sys.exit()));"
    " print('ready'); time.sleep(1000)"
)


def load(code: str) -> str:
    return f'{sys.executable} -c "{code}"'.replace("{", "{{").replace("}", "}}")


def result(folder: Path, arm: str = "on") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"rounds/001-{arm}.json").read_text())
    return found


def phases(folder: Path) -> list[str]:
    """Return the phases in which numbers came."""
    lines = (folder / "rounds/001-on.samples.jsonl").read_text().splitlines()
    return [each["phase"] for each in map(json.loads, lines) if each["own"].get("rps")]


@pytest.mark.host_ksm
@pytest.mark.parametrize("seconds", [0.1, 3])
def test_a_load_that_ends_by_itself(ab: Ab, folder: Path, seconds: float) -> None:
    """Shorter than the measurement it is run again, longer it is waited for."""
    code = SHORT.format(seconds, 5)
    done = ab(
        *ONCE, "--hold=1", f"--load={load(code)}", "--metric=rps=rps: (.*)", *python(EQUAL + READY)
    )
    assert done.returncode == 0, done.stderr
    assert result(folder)["metrics"]["rps"] == 5
    # Never while merging settles.
    assert set(phases(folder)) <= {"hold", "after"}
    assert ("hold" in phases(folder)) == (seconds < 1)


@pytest.mark.own_pids
def test_runs_of_the_warm_up_do_not_count(unmerged_ab: Ab, folder: Path, tmp_path: Path) -> None:
    """The first run prints 1, all later ones 3; the warm-up sees several."""
    mark = tmp_path / "mark"
    code = (
        f"import pathlib, time; time.sleep(0.2); mark = pathlib.Path('{mark}');"
        " print('rps:', 3 if mark.exists() else 1); mark.touch()"
    )
    done = unmerged_ab(
        *(*ONCE, *UNMERGED, "--hold=1", "--warm-up=2", f"--fleet-load={load(code)}"),
        *("--metric=rps=rps: (.*)", *python(EQUAL + READY)),
    )
    assert done.returncode == 0, done.stderr
    assert result(folder)["metrics"]["rps"] == 3


def test_a_load_that_prints_when_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "END_SECONDS_MAX", 0.0)
    plan = ExperimentPlan(("x",), 1, 1, (), Ready("after", "0", 1.0), load=load(ENDLESS))
    found = planned_load(plan, [Instance(0, "on", str(tmp_path))], None)
    try:
        found.start()
        wait_until(lambda: found.logs[0].read_text() == "ready\n")
        own = CustomMetrics([Metric("rps", "output", "rps: (.*)")], found.logs, FIRST, None)
        found.finish(own.has_all, lambda: None)
        assert own.totals() == {"rps": 7.0}
    finally:
        found.stop()


@pytest.mark.own_pids
def test_a_load_that_fails(unmerged_ab: Ab, folder: Path) -> None:
    """At once: told with its output. Later: a warning, and the rest counts."""
    failing = "--load=sh -c 'echo no such option; exit 3'"
    said = unmerged_ab(*ONCE, *UNMERGED, failing, *python(EQUAL + READY))
    assert said.returncode != 0
    assert (
        "--load ended with exit code 3; its output ends: no such option; start the load by"
        in said.stderr
    )
    code = "import sys, time; time.sleep(1.2); print('rps: 4'); sys.exit(1)"
    done = unmerged_ab(
        *(*ONCE, *UNMERGED, f"--output={folder}-2", "--hold=3", f"--load={load(code)}"),
        *("--metric=rps=rps: (.*)", *python(EQUAL + READY)),
    )
    assert done.returncode == 0, done.stderr
    found = result(Path(f"{folder}-2"))
    assert found["metrics"]["rps"] == 4
    assert any("--load ended with an error in" in what for what, _ in found["warnings"])


@pytest.mark.own_pids
def test_a_metric_that_is_nowhere(unmerged_ab: Ab) -> None:
    done = unmerged_ab(
        *(*ONCE, *UNMERGED, "--hold=1", "--load=sh -c 'sleep 0.2; echo rate 5'"),
        *("--metric=rps=rps: (.*)", *python(EQUAL + READY)),
    )
    assert done.returncode == 1
    assert "the load's output has no metric rps: rps: (.*); its output ends: rate 5" in (
        done.stderr
    )
