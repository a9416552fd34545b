"""Lock out a second `ksmrun monitor --auto` among those that share a folder of records."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ksmrun.host.exclusive import holder, this_process
from ksmrun.host.lock import lock_file
from ksmrun.host.other_tuners import OtherTuner
from ksmrun.model.errors import KsmrunError
from ksmrun.support.advice import write_todo

LOCK = "auto.lock"
TUNED = ("pages_to_scan", "sleep_millisecs", "smart_scan")


def take_tuning(folder: Path) -> int:
    """Return the descriptor that holds the lock, for lock.unlock().

    Raises KsmrunError with the PID of the process that has it.
    """
    file = folder / LOCK
    try:
        descriptor = lock_file(file)
    except BlockingIOError as error:
        pid = tuning_pid(folder) or "?"
        raise KsmrunError(
            f"`ksmrun monitor --auto` runs on this host already, as PID {pid}",
            "leave out --auto here, or end that one first",
        ) from error
    except OSError as error:
        raise KsmrunError(f"cannot lock {file}: {error.strerror}", write_todo(error)) from error
    # On a full disk it is held all the same, and only its PID is not told.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, this_process(), 0)
    return descriptor


def auto_tuner(folder: Path) -> list[OtherTuner]:
    """Return `ksmrun monitor --auto` as one of those who set KSM's rate, if it runs."""
    pid = tuning_pid(folder)
    if pid is None:
        return []
    return [
        OtherTuner(
            f"`ksmrun monitor --auto` (PID {pid}) sets KSM's rate on this host",
            "end it first, or start it without --auto; while others set values, it pauses",
        )
    ]


def tuning_pid(folder: Path) -> int | None:
    """Return the PID of `ksmrun monitor --auto`; None if none is seen."""
    return holder(folder / LOCK)
