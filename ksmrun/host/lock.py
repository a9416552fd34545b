"""Exclusive lock of one process: a file that nobody else may open, so no other user can hold it.

The kernel releases it when its holder ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ksmrun.support.folders import make_folder
from ksmrun.support.safefile import open_lock


def lock_file(file: Path, *, wait: bool = False) -> int:
    """Return a descriptor that holds the lock until unlock(), or until this process ends.

    Raises BlockingIOError if another process has it (unless wait), another OSError if it cannot be
    created.
    """
    make_folder(file.parent)
    while True:
        descriptor = open_lock(file)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise
        except FileNotFoundError:
            # The previous holder removed the file after we had opened it.
            pass
        except OSError:
            # On a file system without locks nobody is kept out.
            return descriptor
        os.close(descriptor)


def unlock(descriptor: int, file: Path) -> None:
    """Release the lock, and remove the file."""
    with suppress(OSError):
        file.unlink()
    os.close(descriptor)


@contextmanager
def held(file: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock for the block; yields False if another process has it. Raises OSError."""
    try:
        descriptor = lock_file(file, wait=wait)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        unlock(descriptor, file)
