"""Runs of a load: which are failures, and what cannot be started again."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import wait_until

from ksmrun.experiment import traffic
from ksmrun.experiment.placeholders import Instance
from ksmrun.experiment.traffic import Load, planned_load
from ksmrun.model.errors import KsmrunError
from ksmrun.model.experiment import ExperimentPlan, Ready

Plan = Callable[[str], Load]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plan]:
    # So that a run that fails soon was a load all the same.
    monkeypatch.setattr(traffic, "STARTS_SECONDS", 0.0)
    planned = []

    def made(script: str) -> Load:
        line = shlex.join(["sh", "-c", script.replace("{", "{{").replace("}", "}}")])
        of = ExperimentPlan(("x",), 1, 1, (), Ready("after", "0", 1.0), load=line)
        planned.append(planned_load(of, [Instance(0, "on", str(tmp_path))], None))
        return planned[-1]

    yield made
    for each in planned:
        each.stop()


def test_a_failure_after_the_measurement_counts(plan: Plan) -> None:
    load = plan("read line; exit 3")
    load.start()
    load.finish(lambda _: False, lambda: None)
    assert [what for what, _ in load.warnings()] == ["--load ended with an error in 1 of 1 runs"]


def test_each_failure_counts_once(plan: Plan, tmp_path: Path) -> None:
    load = plan(f"echo >>{tmp_path}/runs; exit 3")
    load.start()
    while len(load.logs) < 3:
        load.tick()
    wait_until(lambda: (tmp_path / "runs").read_text() == "\n" * 3)
    load.finish(lambda _: False, lambda: None)
    assert [what for what, _ in load.warnings()] == ["--load ended with an error in 3 of 3 runs"]


def test_what_is_ended_by_the_measurement_has_not_failed(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "END_SECONDS_MAX", 0.0)
    load = plan("sleep 1000")
    load.start()
    load.finish(lambda _: False, lambda: None)
    assert load.warnings() == []


def test_a_run_that_cannot_be_started(plan: Plan, tmp_path: Path) -> None:
    """As on a full disk: the first, and a later one, for which there is no folder."""
    load = plan("exit 0")
    load.start()
    (tmp_path / "load-0-2").touch()
    with pytest.raises(KsmrunError, match=r"cannot start --load .*/load-0-2: File exists"):
        while True:
            load.tick()
    with pytest.raises(KsmrunError, match=r"cannot start --load .*/load-0: File exists"):
        plan("exit 0").start()
