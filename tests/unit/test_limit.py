"""Limit on CPU time, beside a timer that the program to be launched keeps."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from ksmrun.support.limit import cpu_limit


@pytest.fixture
def timer() -> Iterator[None]:
    signal.setitimer(signal.ITIMER_VIRTUAL, 1000, 8)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def spin() -> None:
    while True:
        pass


@pytest.mark.usefixtures("timer")
def test_a_timer_goes_on() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    with pytest.raises(TimeoutError, match=r"more than 0\.1 s of CPU"), cpu_limit(0.1):
        spin()
    left, interval = signal.getitimer(signal.ITIMER_VIRTUAL)
    assert 990 < left <= 999.95 and interval == 8
    assert signal.getsignal(signal.SIGVTALRM) == before


def test_none_is_left() -> None:
    with cpu_limit(5):
        pass
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_one_that_came_due_meanwhile_comes() -> None:
    came = []
    before = signal.signal(signal.SIGVTALRM, lambda *_: came.append(1))
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.01)
        with pytest.raises(TimeoutError), cpu_limit(0.1):
            spin()
        while not came:
            pass
    finally:
        signal.signal(signal.SIGVTALRM, before)
