"""Capabilities that a file grants at its exec (capabilities(7))."""

from __future__ import annotations

import os
from pathlib import Path

ATTRIBUTE = "security.capability"


def grants_capabilities(file: Path) -> bool | None:
    """Return whether the file grants some; None if this Python cannot ask.

    Pythons for musl have no os.getxattr up to 3.11.2.
    """
    if not hasattr(os, "getxattr"):
        return None
    try:
        return bool(os.getxattr(file, ATTRIBUTE))
    except OSError:
        return False
