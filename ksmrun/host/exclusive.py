"""Allow one experiment at a time on a host: per user, and none beside one of root's.

The lock is a file that no other user can open, so that nobody can block others. Root's PID is
published in a second file, which all can read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ksmrun.facts.stat import read_stat
from ksmrun.facts.text import parse_int
from ksmrun.host.attach_state import is_running
from ksmrun.host.lock import lock_file, unlock
from ksmrun.host.record import own_state_folder
from ksmrun.model.errors import KsmrunError
from ksmrun.support.advice import write_todo
from ksmrun.support.folders import make_folder
from ksmrun.support.foreign import drain, open_regular
from ksmrun.support.safefile import replace_file
from ksmrun.support.state import distrust

ROOTS_FOLDER = Path("/run/ksmrun")
LOCK, HOLDER = "ab.lock", "ab.pid"
HOLDER_BYTES_MAX = 64


@contextmanager
def alone(roots: Path = ROOTS_FOLDER) -> Iterator[None]:
    """Hold the lock for the block. Raises KsmrunError with the other's PID.

    The kernel releases it if this process ends.
    """
    if (pid := _holder(roots)) is not None:
        raise _busy(str(pid))
    folder = roots if os.geteuid() == 0 else own_state_folder()
    if folder is None:
        raise KsmrunError(
            "this user has no home folder for the lock of an experiment",
            "set HOME to a folder that this user can write to",
        )
    try:
        make_folder(folder, 0o755)
        lock = lock_file(folder / LOCK)
    except BlockingIOError as error:
        raise _busy(str(_holder(folder) or "?")) from error
    except OSError as error:
        raise KsmrunError(
            f"cannot lock {folder / LOCK}: {error.strerror}", write_todo(error)
        ) from error
    try:
        replace_file(folder / HOLDER, this_process(), 0o644)
        try:
            yield
        finally:
            (folder / HOLDER).unlink(missing_ok=True)
    finally:
        unlock(lock, folder / LOCK)


def this_process() -> bytes:
    """Return what holder() reads."""
    return f"{os.getpid()} {read_stat(Path('/proc/self')).start_ticks}\n".encode()


def _busy(pid: str) -> KsmrunError:
    return KsmrunError(
        f"another experiment is running on this host, as PID {pid}",
        "wait until it has ended, or stop it",
    )


def _holder(folder: Path) -> int | None:
    return holder(folder / HOLDER)


def holder(file: Path) -> int | None:
    """Return the PID in a file of this folder's owner; None if that process does not run."""
    try:
        descriptor = open_regular(file, follow=False)
        if distrust(descriptor):
            os.close(descriptor)
            return None
        words = drain(descriptor, HOLDER_BYTES_MAX).decode("ascii", "replace").split()
    except OSError:
        return None
    pid, ticks = [*map(parse_int, words), None, None][:2]
    if pid is None or ticks is None or pid == os.getpid() or not is_running(pid, ticks):
        return None
    return pid
