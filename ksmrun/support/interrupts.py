"""Signals that end a command in the midst of a change, which is to be taken back first."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Raised where one of SIGNALS arrives; no handler of Exception swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted within the block for those of SIGNALS that the caller does not ignore.

    Left by Interrupted, the process ends by that signal, as its parent expects (wait(2)).
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        # nohup(1) ignores SIGHUP, and a shell's & without job control SIGINT.
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
    """Hold SIGNALS back within the block: a file is written wholly or not at all."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore() -> None:
    """Ignore SIGNALS, also in children that are started from now on: a second Ctrl-C reaches all of
    the terminal's group.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
