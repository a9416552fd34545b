"""The monitor's log: one line, whatever the text is."""

from __future__ import annotations

import json
import os
import select
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ksmrun.model.watch import Condition, Event
from ksmrun.watch.actions import WORD_MAX, Actor
from ksmrun.watch.config import Config
from ksmrun.watch.log import Log


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(), fact=st.text(), form=st.sampled_from(["plain", "json"]))
@example(text="x" * 9000, fact="", form="plain")
@example(text="x" * 6000, fact="", form="plain")
@example(text="\U0001f600" * 9000, fact="", form="json")
@example(text="", fact="\U0001f600" * 9000, form="json")
@example(text="a\nb\x1b\udcff", fact="\udcff", form="plain")
def test_one_line_that_a_pipe_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, fact: str, form: str
) -> None:
    with (tmp_path / "log").open("w") as log, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", log)
        Log(form).say("warning", text, subject=fact)
    (line,) = (tmp_path / "log").read_bytes().splitlines(keepends=True)
    assert line.endswith(b"\n") and len(line) <= select.PIPE_BUF
    if form == "json":
        assert json.loads(line)["level"] == "warning"


def test_what_a_command_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line feed in a name would be another header of the mail that it sends."""
    odd = "x\nBcc: all@example.org\x1b\u2028\udcff" + "y" * 5000
    condition = Condition(
        "flag-lost", "1", odd, is_bad=True, is_clear=False, what=odd, todo=odd, facts={"value": odd}
    )
    output = tmp_path / "env"
    config = Config(on_alert=f"sh -c 'env -0 | grep -z ^KSMRUN_ALERT_ >{output}'")
    with (tmp_path / "log").open("w") as log, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", log)
        actor = Actor(config, Log("plain"))
        actor.act([Event(True, condition)], [])
        while actor._commands:
            actor.reap()
    words = dict(each.split("=", 1) for each in output.read_text().split("\0") if each)
    assert words["KSMRUN_ALERT_SUBJECT"].startswith(r"x\x0aBcc: all@example.org\x1b\u2028\xffy")
    assert all(each.isprintable() and len(each) <= WORD_MAX for each in words.values())
    assert len((tmp_path / "log").read_text().splitlines()) == 1


@pytest.mark.parametrize("place", ["file", "journal", "another journal"])
def test_lines_have_a_time_where_the_journal_gives_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    with (tmp_path / "log").open("w") as log, monkeypatch.context() as patched:
        found = os.fstat(log.fileno())
        stream = {"journal": f"{found.st_dev}:{found.st_ino}", "another journal": "1:2"}
        patched.setenv("JOURNAL_STREAM", stream.get(place, ""))
        patched.setattr(sys, "stdout", log)
        Log("plain").say("warning", "it is so")
    line = (tmp_path / "log").read_text()
    time, _, rest = line.rpartition("warning: ")
    assert rest == "it is so\n"
    if place == "journal":
        assert time == ""
    else:
        age = datetime.now(UTC) - datetime.fromisoformat(time.rstrip())
        assert timedelta(seconds=-1) <= age < timedelta(hours=1)
