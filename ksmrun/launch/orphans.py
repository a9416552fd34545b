"""Orphaned descendants, reparented to this process because it is their subreaper (prctl(2))."""

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
    """Return the children of this process, whoever started them."""
    try:
        lists = [(task / "children").read_text() for task in Path("/proc/self/task").iterdir()]
        return {int(word) for text in lists for word in text.split()}
    except OSError:
        # Kernel without CONFIG_PROC_CHILDREN.
        return {child.pid for child in psutil.Process().children()}


@contextmanager
def no_orphans() -> Iterator[None]:
    """Kill, at the end, the orphans that the block left: none may live on into what follows.

    What the block starts itself must have ended by then.
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
        # Our own children: their PIDs are not reused before we reap them.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
