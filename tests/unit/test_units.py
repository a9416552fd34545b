"""Sizes and times for people."""

from __future__ import annotations

import pytest

from ksmrun.support.units import duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "-"),
        *((0.44, "0.4 s"), (9.94, "9.9 s"), (10, "10 s"), (119, "119 s"), (120, "2 min")),
        *((7199, "120 min"), (7200, "2.0 h"), (9000, "2.5 h"), (3_600_000, "1000.0 h")),
    ],
)
def test_durations(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said
