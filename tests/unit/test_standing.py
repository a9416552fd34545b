"""Alerts that the monitor leaves for `ksmrun status`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from schemas import ALERTS

from ksmrun.host.standing import NAME, drop_alerts, find_alerts, read_alerts, write_alerts
from ksmrun.model.errors import KsmrunError
from ksmrun.model.status import Monitor, Unread

ALERT = ("ksmd-off", "ksmd is off", "sudo ksmrun host on")


def test_written_read_and_dropped(tmp_path: Path) -> None:
    assert read_alerts(tmp_path) is None
    write_alerts(tmp_path, [ALERT])
    found = read_alerts(tmp_path)
    assert found is not None
    assert found.runs
    assert found.alerts == (ALERT,)
    drop_alerts(tmp_path)
    assert read_alerts(tmp_path) is None
    drop_alerts(tmp_path)


def test_one_that_was_killed_and_one_of_another_boot(tmp_path: Path) -> None:
    write_alerts(tmp_path, [])
    data = json.loads((tmp_path / NAME).read_text())
    with subprocess.Popen(["true"]) as process:
        pass
    for changed in ({"pid": process.pid}, {"start_ticks": 1}):
        (tmp_path / NAME).write_text(json.dumps(data | changed))
        found = read_alerts(tmp_path)
        assert found is not None
        assert not found.runs
    # Not this monitor's to delete.
    (tmp_path / NAME).write_text(json.dumps(data | {"pid": process.pid}))
    drop_alerts(tmp_path)
    assert (tmp_path / NAME).exists()
    (tmp_path / NAME).write_text(json.dumps(data | {"boot_id": "another"}))
    assert read_alerts(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{}", f'{{"schema": "{ALERTS}", "pid": "x"}}', "[" * 99])
def test_a_damaged_file_is_an_error_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(KsmrunError, match=r"alerts\.json"):
        read_alerts(tmp_path)


def test_a_damaged_file_is_found_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(tmp_path))
    assert find_alerts() is None
    (tmp_path / NAME).write_text("{}")
    found = find_alerts()
    assert isinstance(found, Unread)
    assert str(tmp_path / NAME) in found.what and "restart the monitor" in found.todo


def test_the_monitor_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KSMRUN_STATE_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 65534)
    write_alerts(tmp_path / "ksmrun", [ALERT])
    found = find_alerts()
    assert isinstance(found, Monitor) and found.alerts == (ALERT,)
