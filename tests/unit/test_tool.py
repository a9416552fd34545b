"""Container tools that do not start: the message names what is at fault."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ksmrun.model.errors import KsmrunError
from ksmrun.support.tool import run_tool


def test_a_missing_tool() -> None:
    with pytest.raises(KsmrunError, match="cannot start /no/such: No such file") as found:
        run_tool(["/no/such"], 10.0, "install it")
    assert found.value.todo == "install it"


def test_dev_null_of_no_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "devnull", str(tmp_path / "null"))
    with pytest.raises(KsmrunError, match="null, the input of true: No such file") as found:
        run_tool(["true"], 10.0, "install it")
    assert "chmod 666" in found.value.todo
