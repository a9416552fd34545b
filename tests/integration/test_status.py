"""`ksmrun status` on this host."""

from __future__ import annotations

import json
import shlex

import pytest
from schemas import STATUS

from .conftest import Run, Start

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


def test_the_document_has_every_check(run: Run) -> None:
    found = json.loads(run("status", "--json").stdout)
    assert found["schema"] == STATUS
    assert {row["state"] for row in found["rows"]} <= {"ok", "TODO", "?"}
    assert len(found["rows"]) >= 10
    assert all(bool(row["todo"]) == (row["state"] != "ok") for row in found["rows"])
