"""Wait for events, never for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable

# Far longer than anything takes, even on the busiest machine.
LAST_RESORT_SECONDS = 180.0


def wait_until(condition: Callable[[], bool], what: str = "") -> None:
    """Poll until the condition is true. Raises AssertionError if it does not become true."""
    deadline = time.monotonic() + LAST_RESORT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not reached in time: {what}"
        time.sleep(0.02)
