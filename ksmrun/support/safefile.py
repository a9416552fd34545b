"""Atomic file writes: a reader sees the old or the new content, and no link is followed."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from ksmrun.support.foreign import refuse_irregular, reopen, resolved

# O_EXCL does not follow links either (open(2)).
LEFTOVER_SECONDS, LOOKED_AT_MAX = 600.0, 1000
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY


def replace_file(
    file: Path,
    data: bytes,
    mode: int,
    *,
    owner: int | None = None,
    leftover_seconds: float = LEFTOVER_SECONDS,
) -> None:
    """Replace the content of a file atomically; it is on disk before this returns. Raises OSError.

    mode: of the new file, whatever the umask is. owner: its user, if not this one. A link of that
    name is replaced, not followed. A partial file, as on a full disk, is removed. leftover_seconds:
    age at which temporary files of killed writers are removed; 0 if nobody else writes there.
    """
    with _folder(file) as folder:
        replace_in(folder, file.name, data, mode, owner=owner, leftover_seconds=leftover_seconds)


def replace_in(
    folder: int,
    name: str,
    data: bytes,
    mode: int,
    *,
    owner: int | None = None,
    leftover_seconds: float = LEFTOVER_SECONDS,
) -> None:
    """Replace a file in a folder that is held open, wherever its name refers to now."""
    temporary = temporary_name(name)
    _fill(folder, temporary, data, mode, owner)
    try:
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        _remove(folder, temporary)
        raise
    os.fsync(folder)
    _remove_leftovers(folder, name, leftover_seconds)


def create_file(file: Path, data: bytes, mode: int, *, owner: int | None = None) -> None:
    """Create a file. Raises OSError (FileExistsError if it exists)."""
    with _folder(file) as folder:
        _fill(folder, file.name, data, mode, owner)
        os.fsync(folder)


def write_named(file: Path, data: bytes) -> None:
    """Write to what the user has named. Raises OSError.

    A file is replaced, also where a link leads; a device or pipe (/dev/stdout) is written to.
    """
    try:
        is_file = stat.S_ISREG(file.stat().st_mode)
    except FileNotFoundError:
        is_file = True
    if is_file:
        replace_file(Path(resolved(file)), data, 0o644)
    else:
        file.write_bytes(data)


def overwrite(file: Path, data: bytes) -> None:
    """Write to a file of sysfs or /proc/sys by one write(2). Raises OSError.

    The file is never created, and a link is not followed.
    """
    flags = os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    place = os.open(file, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        refuse_irregular(place, file)
        descriptor = reopen(place, file, flags)
    finally:
        os.close(place)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def open_lock(file: Path, mode: int = 0o600) -> int:
    """Return a descriptor of a lock file, which is created if need be. Raises OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    descriptor = os.open(file, flags, mode)
    try:
        refuse_irregular(descriptor, file)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def temporary_name(name: str) -> str:
    """Return an unguessable name, with a suffix that no reader of the folder looks for."""
    return f".{name}.{os.urandom(8).hex()}.new"


def is_temporary_of(name: str, found: str) -> bool:
    """Return whether a killed write to name left the file found."""
    return found.startswith(f".{name}.") and found.endswith(".new")


@contextmanager
def _folder(file: Path) -> Iterator[int]:
    descriptor = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _fill(folder: int, name: str, data: bytes, mode: int, owner: int | None) -> None:
    descriptor = os.open(name, NEW, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as output:
            output.write(data)
            output.flush()
            if owner is not None and owner != os.geteuid():
                os.fchown(descriptor, owner, -1)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
    except OSError:
        _remove(folder, name)
        raise


def _remove_leftovers(folder: int, name: str, seconds: float) -> None:
    """Remove what killed writes left.

    Recent files may belong to a process that is still writing.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for each in islice(entries, LOOKED_AT_MAX):
            if is_temporary_of(name, each.name):
                age_seconds = time.time() - each.stat(follow_symlinks=False).st_mtime
                if age_seconds > seconds:
                    _remove(folder, each.name)


def _remove(folder: int, name: str) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=folder)
