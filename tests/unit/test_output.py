"""Tables and sizes as shown."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.commands.output import mib, parse_share, print_table
from ksmrun.model import KsmrunError

WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)


@given(WORDS, WORDS, st.integers(0, 2000))
def test_a_long_command_takes_nothing_from_the_other_columns(
    pid: str, by: str, length: int
) -> None:
    columns = {"PID": "right", "by": "left", "command": "cut"}
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        print_table(columns, [[pid, by, "x" * length]])
    line = output.getvalue().splitlines()[-1]
    assert line.split()[:2] == [pid, by]
    assert len(line) <= 200


def test_no_minus_before_zero() -> None:
    assert mib(-12288) == mib(0) == "0.0"
    assert mib(-(1 << 20)) == "-1.0"
    assert mib(None) == "-"


@given(st.floats(0, 100))
def test_shares(percent: float) -> None:
    assert parse_share("--x", f"{percent}%") == pytest.approx(percent / 100)
    assert parse_share("--x", str(percent / 100)) == pytest.approx(percent / 100)


@pytest.mark.parametrize("text", ["", "%", "-1%", "101%", "1.01", "nan", "inf", "five", "5%%"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(
        KsmrunError, match=r"--x=.* is not a share; give a percentage from 0% to 100%"
    ):
        parse_share("--x", text)


def test_all_may_be_too_much() -> None:
    assert parse_share("--x", "100%") == 1
    with pytest.raises(KsmrunError, match="from 0% to less than 100%"):
        parse_share("--x", "100%", below_all=True)
