"""Tables and sizes as shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.commands.output import mib, parse_share
from ksmrun.model.errors import KsmrunError


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
