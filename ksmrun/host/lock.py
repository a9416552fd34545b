"""A folder that one process has for itself; nothing is left in it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def lock_folder(folder: Path) -> int | None:
    """A descriptor that holds the lock until it is closed; None where another process has it.
    Raises OSError where there is no such folder.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        # A file system without locks (NFS: none for what is open for reading) keeps nobody away.
        return descriptor
    return descriptor
