"""Fixtures of all unit tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ksmrun.support import paste


@pytest.fixture(autouse=True)
def sudo_finds_ksmrun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages name `sudo ksmrun`, wherever the tests' own environment is."""
    monkeypatch.setattr(paste, "SECURE_PATH", str(Path(sys.executable).parent))
