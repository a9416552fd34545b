"""Tables and sizes as shown."""

from __future__ import annotations

from ksmrun.commands.output import mib


def test_no_minus_before_zero() -> None:
    assert mib(-12288) == mib(0) == "0.0"
    assert mib(-(1 << 20)) == "-1.0"
    assert mib(None) == "-"
