"""Waiting for what must come: for an event, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

# Far more than anything takes, also on the busiest of machines.
LAST_RESORT_SECONDS = 180.0


def wait_until(condition: Callable[[], bool], what: str = "") -> None:
    """Asks again and again; AssertionError where it does not come true."""
    deadline = time.monotonic() + LAST_RESORT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not reached in time: {what}"
        time.sleep(0.02)
