"""`ksmrun status` on this host."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from schemas import STATUS
from waiting import wait_until

from ksmrun.host.temporary_tunables import borrowed

from .conftest import Run, Start
from .support.monitors import Begin, monitor

__all__ = ["monitor"]

pytestmark = pytest.mark.own_pids


@pytest.mark.host_ksm
def test_what_is_off_is_named_with_the_command(run: Run, start: Start) -> None:
    start("cat")
    done = run("status")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("TODO KSM        off; ")
    command = lines[1].partition("to do: ")[2]
    assert command.endswith("host on")
    assert run(*shlex.split(command)[2:]).returncode == 0
    rows = {row["name"]: row for row in json.loads(run("status", "--json").stdout)["rows"]}
    assert rows["KSM"]["state"] == "ok"
    assert "ksmrun host" in rows["KSM"]["found"]
    assert "run" in rows["records"]["found"]


@pytest.mark.host_ksm
def test_alerts_are_those_of_the_last_sample(run: Run, start: Start, monitor: Begin) -> None:
    def says(text: str) -> bool:
        rows = json.loads(run("status", "--json").stdout)["rows"]
        return any(row["name"] == "alerts" and text in row["found"] for row in rows)

    start("cat")
    monitor()
    wait_until(lambda: says("1 process waits"))
    start("cat")
    wait_until(lambda: says("2 processes wait"))


@pytest.mark.host_ksm
def test_a_measurement_that_still_runs(
    ksmrun: str, nobody: tuple[str, ...], tmp_path: Path
) -> None:
    """Only root may see that; nobody is advised to undo what is in use."""
    state = tmp_path / "measured"
    with borrowed({"pages_to_scan": "123"}, state):
        done = subprocess.run(
            [*nobody, ksmrun, "status", "--json"],
            env={**os.environ, "KSMRUN_STATE_DIR": str(state)},
            capture_output=True,
            check=False,
        )
    rows = {row["name"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["records"]["state"] == "?"
    assert rows["records"]["found"].startswith("pages_to_scan: only root sees")
    assert rows["records"]["todo"] == "sudo ksmrun status"


def test_the_document_has_every_check(run: Run) -> None:
    found = json.loads(run("status", "--json").stdout)
    assert found["schema"] == STATUS
    assert {row["state"] for row in found["rows"]} <= {"ok", "TODO", "?"}
    assert len(found["rows"]) >= 10
    assert all(bool(row["todo"]) == (row["state"] != "ok") for row in found["rows"])
