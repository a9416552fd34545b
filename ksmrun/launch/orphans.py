"""What lost its parents below this process and came to it, which is their subreaper (prctl(2))."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

POLL_SECONDS = 0.02


def children() -> set[int]:
    """Of this process, whoever started them."""
    try:
        lists = [(task / "children").read_text() for task in Path("/proc/self/task").iterdir()]
        return {int(word) for text in lists for word in text.split()}
    except OSError:
        # Without CONFIG_PROC_CHILDREN.
        return {child.pid for child in psutil.Process().children()}


@contextmanager
def no_orphans() -> Iterator[None]:
    """Kills in the end what the block left to us: who forks away must not live on in what follows.

    Whatever the block starts itself has to have ended by then.
    """
    before = children()
    try:
        yield
    finally:
        while left := children() - before:
            _kill(left)
            time.sleep(POLL_SECONDS)


def _kill(pids: Collection[int]) -> None:
    for pid in pids:
        # Our own children: no number is used again before we have reaped it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
