"""Open paths that others chose: regular files only, bounded, without waiting.

open(2) itself can have effects: on a device, on a FIFO (it waits for a writer), on a terminal (it
may become the controlling one). So the file is opened with O_PATH first, which has none, and its
type is checked before it is opened to read.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

READ_BYTES_MAX = 4 << 20
# Errors of this process, its user or the host, which say nothing about the file to be read.
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
# Bytes per read. For 4 MiB at once a sysctl read fails with ENOMEM (fs/proc/proc_sysctl.c:
# KMALLOC_MAX_SIZE).
CHUNK_BYTES = 1 << 16
FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


def raise_shortage(error: OSError) -> None:
    """Raise the error again if descriptors or memory ran out.

    Otherwise it would be taken for "the process ended" or "there is no such file".
    """
    if error.errno in SHORTAGES:
        raise error


def open_regular(path: Path, *, follow: bool = True) -> int:
    """Return a descriptor open for reading a regular file. Raises OSError, also for other types.

    follow: whether the last component may be a symbolic link.
    """
    flags = os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        place = os.open(path, flags)
    except ValueError as error:
        raise OSError(
            errno.EINVAL, "it contains a NUL byte, so it is not a path", repr(str(path))
        ) from error
    try:
        refuse_irregular(place, path)
        return reopen(place, path, FLAGS)
    finally:
        os.close(place)


def reopen(place: int, path: Path, flags: int) -> int:
    """Open the file that an O_PATH descriptor refers to, whatever its name refers to now."""
    try:
        return os.open(f"/proc/self/fd/{place}", flags)
    except FileNotFoundError:
        # Without /proc: open by name, and give up if the name refers to another file now.
        descriptor = os.open(path, flags)
        if os.path.samestat(os.fstat(descriptor), os.fstat(place)):
            return descriptor
        os.close(descriptor)
        raise


def refuse_irregular(descriptor: int, path: Path) -> None:
    """Raise OSError unless the descriptor is a regular file."""
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def read_bytes(path: Path, limit: int = READ_BYTES_MAX, *, follow: bool = True) -> bytes:
    """Return up to limit bytes from the start of a regular file. Raises OSError."""
    return drain(open_regular(path, follow=follow), limit)


def read_text(path: Path, limit: int = READ_BYTES_MAX) -> str | None:
    """Return read_bytes() as text, undecodable bytes escaped; None if the file cannot be read."""
    with suppress(OSError):
        return read_bytes(path, limit).decode("utf-8", "surrogateescape")
    return None


def drain(descriptor: int, limit: int) -> bytes:
    """Return up to limit bytes and close the descriptor.

    The kernel returns about a page per read.
    """
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
    """Return the path with links resolved.

    Unlike Path.resolve(), raises no RuntimeError for a loop.
    """
    return os.path.realpath(path)
