"""Signals that end a command during a change, which must be undone first."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Raised when one of SIGNALS arrives. Not an Exception, so that no handler swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted within the block for those of SIGNALS that the caller does not ignore.

    If Interrupted leaves the block, the process ends by that signal, as its parent expects
    (wait(2)).
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        # nohup(1) ignores SIGHUP; a shell without job control ignores SIGINT for background jobs.
        if handler is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        yield
    except Interrupted as interrupted:
        signal.signal(interrupted.number, signal.SIG_DFL)
        os.kill(os.getpid(), interrupted.number)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)


@contextmanager
def held() -> Iterator[None]:
    """Block SIGNALS within the block: a file is written completely or not at all."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore() -> None:
    """Ignore SIGNALS, also in children started from now on.

    A second Ctrl-C reaches the whole process group of the terminal.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
