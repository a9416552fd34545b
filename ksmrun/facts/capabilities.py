"""Capabilities that a file grants at its exec (capabilities(7))."""

from __future__ import annotations

import os
from pathlib import Path

from ksmrun.support.syscall import syscall

ATTRIBUTE = "security.capability"


def grants_capabilities(file: Path) -> bool | None:
    """Return whether the file grants some; None if it cannot be asked here.

    Pythons for musl have no os.getxattr up to 3.11.2.
    """
    try:
        if hasattr(os, "getxattr"):
            return bool(os.getxattr(file, ATTRIBUTE))
        length = syscall("getxattr", os.fsencode(file), ATTRIBUTE.encode(), None, 0)
        return None if length is None else length > 0
    except OSError:
        return False
