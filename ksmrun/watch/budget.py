"""CPU budget of expensive work: time spent must be earned before more is spent."""

from __future__ import annotations

import time
from collections.abc import Callable

# Unspent time is kept for this long.
SAVED_SECONDS_MAX = 60.0


class Budget:
    """Budget. share: of one core. clock: reads the seconds spent."""

    def __init__(self, share: float, clock: Callable[[], float] = time.thread_time) -> None:
        self._share = share
        self._clock = clock
        self._seconds = 0.0
        self._earned_at = time.monotonic()
        self._started = 0.0
        self.spent_seconds = 0.0

    def has(self) -> bool:
        """Return whether some is left."""
        now = time.monotonic()
        earned = self._share * (now - self._earned_at)
        self._seconds = min(self._seconds + earned, self._share * SAVED_SECONDS_MAX)
        self._earned_at = now
        return self._seconds >= 0

    def __enter__(self) -> None:
        self._started = self._clock()

    def __exit__(self, *_: object) -> None:
        spent = self._clock() - self._started
        self._seconds -= spent
        self.spent_seconds += spent
