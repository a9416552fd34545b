"""List of all processes, and what to say without /proc."""

from __future__ import annotations

import os
from pathlib import Path

from ksmrun.model.errors import KsmrunError
from ksmrun.support.foreign import raise_shortage


def all_pids() -> list[int]:
    """Return all PIDs; empty without /proc."""
    try:
        # psutil.pids() does the same, but importing it takes longer than most commands.
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208
    except OSError as error:
        raise_shortage(error)
    return []


def require_proc() -> None:
    """Raise KsmrunError if /proc is not mounted: then nothing is known of processes."""
    if not Path("/proc/self/stat").exists():
        raise KsmrunError(
            "/proc is not mounted here, so processes cannot be seen", "mount -t proc proc /proc"
        )
