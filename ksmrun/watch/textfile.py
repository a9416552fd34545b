"""File of metrics for node_exporter, in a folder that may belong to another user."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ksmrun.host.lock import lock_file, unlock
from ksmrun.host.record import own_state_folder
from ksmrun.model.errors import KsmrunError
from ksmrun.support.safefile import create_file, replace_in, temporary_name

FILE_NAME = "ksmrun.prom"
# node_exporter runs as a user of its own, and root's umask may be 077.
MODE = 0o644


class Textfile:
    """Metrics file. Holds its folder open, so that nothing is written elsewhere if it is moved.

    Raises KsmrunError if the folder cannot be written to, or another monitor uses it.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE_NAME
        _check(folder)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._lock = _lock_of(self._folder)
        self._held: int | None = None
        try:
            self._held = None if self._lock is None else lock_file(self._lock)
        except BlockingIOError as error:
            os.close(self._folder)
            raise KsmrunError(
                f"another monitor writes to {folder}",
                "one for the host is enough; stop that one, or give another folder",
            ) from error
        except OSError:
            # Without a state folder of our own nobody is locked out.
            self._lock = None

    def write(self, data: bytes) -> str:
        """Replace the file. Return the error; empty for none. A full disk leaves the last one."""
        try:
            replace_in(self._folder, FILE_NAME, data, MODE)
        except OSError as error:
            return f"cannot write {self.file}: {error.strerror}; its figures are old until then"
        return ""

    def close(self) -> None:
        """Remove the file: an old one would look like a running monitor.

        It stays in a folder that has become read-only.
        """
        with suppress(OSError):
            os.unlink(FILE_NAME, dir_fd=self._folder)
        os.close(self._folder)
        if self._lock is not None and self._held is not None:
            unlock(self._held, self._lock)


def _lock_of(folder: int) -> Path | None:
    """Return the lock file.

    Not the folder itself: whoever can read that could lock it (flock(2)).
    """
    state = own_state_folder()
    status = os.fstat(folder)
    name = f"textfile-{status.st_dev:x}-{status.st_ino:x}.lock"
    return None if state is None else state / name


def _check(folder: Path) -> None:
    probe = folder / temporary_name(FILE_NAME)
    try:
        create_file(probe, b"", 0o600)
        probe.unlink()
    except OSError as error:
        raise KsmrunError(
            f"cannot write to {folder}: {error.strerror}",
            "give --textfile the folder of node_exporter's "
            "--collector.textfile.directory, and check its permissions",
        ) from error
