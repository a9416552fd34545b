"""The monitor's log: one line, whatever is said."""

from __future__ import annotations

import json
import select
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

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
