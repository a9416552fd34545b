"""Regular expressions on what programs print."""

from __future__ import annotations

import pytest

from ksmrun.experiment.match import found, refuse_bad
from ksmrun.model import KsmrunError


def test_groups_of_all_lines() -> None:
    text = "p99: 1.5 ms\nother\np99: 2.5 ms\n"
    assert found("--metric=p99", r"^p99: ([0-9.]+)( ms)?$", text) == [
        ("1.5", " ms"),
        ("2.5", " ms"),
    ]
    assert found("--ready-stdout", "ready", text) == []
    assert refuse_bad("--metric=p99", r"(a)(b)") == 2


def test_one_that_never_ends() -> None:
    """Python's own re would neither end nor let a signal through."""
    with pytest.raises(KsmrunError, match=r"--ready-stdout='\(a\|aa\)\+\$' takes more than 2 s"):
        found("--ready-stdout", "(a|aa)+$", "a" * 60 + "b")
