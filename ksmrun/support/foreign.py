"""Opening what somebody else named: regular files only, bounded, never waiting.

Opening is an act already: a device may do something, a FIFO waits for a writer, a terminal becomes
the controlling one (open(2): O_NOCTTY). With O_PATH nothing is opened, so the kind is known before.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

READ_BYTES_MAX = 4 << 20
# What this process, its user or the host lacks: it says nothing of what was to be looked at.
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
# Of one read: for 4 MiB at once sysctls have no memory (fs/proc/proc_sysctl.c: KMALLOC_MAX_SIZE).
CHUNK_BYTES = 1 << 16
FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


def raise_shortage(error: OSError) -> None:
    """Raise the error again where descriptors or memory ran out, so that nobody takes it for "that
    process ended" or "there is no such file".
    """
    if error.errno in SHORTAGES:
        raise error


def open_regular(path: Path, *, follow: bool = True) -> int:
    """Return a descriptor to read a regular file by. Raises OSError, also for anything else.

    follow: whether the last part may be a symbolic link.
    """
    flags = os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        place = os.open(path, flags)
    except ValueError as error:
        raise OSError(errno.EINVAL, "holds a NUL, so it is no path", repr(str(path))) from error
    try:
        refuse_irregular(place, path)
        return reopen(place, path, FLAGS)
    finally:
        os.close(place)


def reopen(place: int, path: Path, flags: int) -> int:
    """Open the very file that was looked at by O_PATH, whatever has its name by now."""
    try:
        return os.open(f"/proc/self/fd/{place}", flags)
    except FileNotFoundError:
        # There is no /proc. A name that leads elsewhere by now is given up.
        descriptor = os.open(path, flags)
        if os.path.samestat(os.fstat(descriptor), os.fstat(place)):
            return descriptor
        os.close(descriptor)
        raise


def refuse_irregular(descriptor: int, path: Path) -> None:
    """Raise OSError where the descriptor is of no regular file."""
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))


def read_bytes(path: Path, limit: int = READ_BYTES_MAX, *, follow: bool = True) -> bytes:
    """Return the first bytes of a regular file, up to limit. Raises OSError."""
    return drain(open_regular(path, follow=follow), limit)


def read_text(path: Path, limit: int = READ_BYTES_MAX) -> str | None:
    """Return what read_bytes() has, undecodable bytes escaped; None where it cannot be read."""
    with suppress(OSError):
        return read_bytes(path, limit).decode("utf-8", "surrogateescape")
    return None


def drain(descriptor: int, limit: int) -> bytes:
    """Return up to limit bytes, and close the descriptor. The kernel hands out a page a read."""
    try:
        data = bytearray()
        while left := limit - len(data):
            part = os.read(descriptor, min(left, CHUNK_BYTES))
            if not part:
                break
            data += part
        return bytes(data)
    finally:
        os.close(descriptor)


def resolved(path: str | Path) -> str:
    """Return the path without links. Path.resolve() raises RuntimeError for a circle of them."""
    return os.path.realpath(path)
