"""List of all processes, and what to say without /proc."""

from __future__ import annotations

from pathlib import Path

import psutil

from ksmrun.model.errors import KsmrunError
from ksmrun.support.foreign import raise_shortage


def all_pids() -> list[int]:
    """Return all PIDs; empty without /proc, for which psutil raises."""
    try:
        return psutil.pids()
    except OSError as error:
        raise_shortage(error)
    except IndexError:
        pass
    return []


def require_proc() -> None:
    """Raise KsmrunError if /proc is not mounted: then nothing is known of processes."""
    if not Path("/proc/self/stat").exists():
        raise KsmrunError(
            "/proc is not mounted here, so processes cannot be seen", "mount -t proc proc /proc"
        )
