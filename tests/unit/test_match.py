"""Regular expressions on what programs print."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys

import pytest

from ksmrun.model.errors import KsmrunError
from ksmrun.support import match
from ksmrun.support.match import compiled, found


def test_groups_of_all_lines() -> None:
    text = "p99: 1.5 ms\nother\np99: 2.5 ms\n"
    assert found("--metric=p99", r"^p99: ([0-9.]+)( ms)?$", text) == [
        ("1.5", " ms"),
        ("2.5", " ms"),
    ]
    assert found("--ready-stdout", "ready", text) == []
    assert compiled("--metric=p99", r"(a)(b)").groups == 2


@pytest.mark.slow
def test_one_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match, "MATCH_SECONDS", 0.3)
    before = signal.getsignal(signal.SIGVTALRM)
    with pytest.raises(KsmrunError, match=r"--ready-stdout='\(a\|aa\)\+\$' takes more than 0.3 s"):
        found("--ready-stdout", "(a|aa)+$", "a" * 60 + "b")
    assert signal.getsignal(signal.SIGVTALRM) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(", "is not a valid regular expression"),
        ("a{99999999999999999999}", "is not a valid regular expression"),
        ("(" * 5000 + ")" * 5000, "is not a valid regular expression"),
        ("(?i)" + "[b-\uffff]" * 9000, "takes more than 0.3 s"),
    ],
    ids=["open", "too many", "too deep", "too long"],
)
def test_one_that_cannot_be_compiled(
    monkeypatch: pytest.MonkeyPatch, pattern: str, said: str
) -> None:
    monkeypatch.setattr(match, "MATCH_SECONDS", 0.3)
    with pytest.raises(KsmrunError, match=said):
        compiled("--match", pattern)


def test_matching_leaves_out_those_who_ask() -> None:
    """Neither this process, nor the shell or sudo with the pattern in its line."""
    mark = f"sleep-{os.getpid()}"
    code = f"from ksmrun.facts.select import matching; print(*matching({mark!r}))"
    line = f"{sys.executable} -c {shlex.quote(code)}; true {mark}"
    with subprocess.Popen(["sh", "-c", "read end; : $0", mark], stdin=subprocess.PIPE) as meant:
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [str(meant.pid)]
        assert meant.stdin is not None
        meant.stdin.close()
