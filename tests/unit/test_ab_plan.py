"""Plan that `ksmrun ab` makes of its options."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ksmrun.commands.ab.plan import planned_experiment
from ksmrun.experiment.placeholders import Instance, expand
from ksmrun.options.ab import AbOptions

HERE = Instance(0, "on", "/tmp")


def test_programs_of_this_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Copies and loads run in folders of their own, so they get its whole path."""
    folder = tmp_path / "a {b}"
    folder.mkdir()
    (folder / "server").touch()
    monkeypatch.chdir(folder)
    options = AbOptions(
        ready_after_seconds=1.0, load="./server '{i} x'", fleet_load="sh -c './server'"
    )
    plan = planned_experiment(options, ("./server", "./server"))
    words = [plan.command[0], *shlex.split(plan.load or "")]
    assert [expand(word, HERE, None) for word in words] == [
        *(str(folder / "server"), str(folder / "server"), "0 x")
    ]
    assert plan.command[1] == "./server" and plan.fleet_load == "sh -c './server'"
    for word in ("server", "./other", "/bin/sh"):
        assert planned_experiment(options, (word,)).command == (word,)
