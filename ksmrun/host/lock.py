"""A lock that one process has for itself: a file that nobody else may open, so that no other user
holds it; it goes with its holder.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ksmrun.support.safefile import open_lock


def lock_file(file: Path) -> int:
    """A descriptor that holds the lock until unlock(); the kernel ends it with this process. Raises
    BlockingIOError where another has it, other OSErrors where it cannot be made.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = open_lock(file)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise
        except FileNotFoundError:
            # The holder before took the file away after this one had opened it.
            pass
        except OSError:
            # A file system without locks keeps nobody away.
            return descriptor
        os.close(descriptor)


def unlock(descriptor: int, file: Path) -> None:
    """Lets go of it, and takes the file away."""
    with suppress(OSError):
        file.unlink()
    os.close(descriptor)


@contextmanager
def held(file: Path) -> Iterator[bool]:
    """Holds it for the block; yields False where another process has it. Raises OSError."""
    try:
        descriptor = lock_file(file)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        unlock(descriptor, file)
