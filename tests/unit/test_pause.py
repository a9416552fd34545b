"""Pause containers are not shown in lists."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ksmrun.model.process import ProcessKsm
from ksmrun.observe.processes import PAUSE_BYTES_MAX, is_pause

from .test_conditions import PROCESS


@pytest.mark.parametrize(
    ("container", "rss_bytes", "expected"),
    [
        ("shop/web-0/POD", 1 << 19, True),
        ("shop/web-0/POD", None, True),
        ("shop/web-0/pod", 1 << 19, False),
        ("POD", 1 << 19, False),
        (None, 1 << 19, False),
        # Nobody can hide by that name.
        ("shop/web-0/POD", PAUSE_BYTES_MAX + 1, False),
    ],
)
def test_pause(container: str | None, rss_bytes: int | None, expected: bool) -> None:
    who = replace(PROCESS.identity, container=container)
    process = ProcessKsm(who, "prctl", 0, 0, 0, 0, rss_bytes, None, None)
    assert is_pause(process) is expected
