"""Limit on the CPU time spent on input that others made."""

from __future__ import annotations

import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SOONEST_SECONDS = 1e-6


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block after this much CPU time (setitimer(2): ITIMER_VIRTUAL).

    Works in the main thread only; in others nothing is limited. A timer of that kind inherited from
    the caller belongs to the program to be launched (execve(2) keeps it), so it is set again at the
    end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        raise TimeoutError(f"it takes more than {seconds:g} s of CPU time")

    before = signal.signal(signal.SIGVTALRM, end)
    begun = _user_seconds()
    left, interval = signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        if left > 0:
            left = max(left - (_user_seconds() - begun), SOONEST_SECONDS)
            signal.setitimer(signal.ITIMER_VIRTUAL, left, interval)


def _user_seconds() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime
