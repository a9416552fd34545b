"""Folders for files of ksmrun, which the umask neither opens to others nor makes useless."""

from __future__ import annotations

import os
from pathlib import Path


def make_folder(folder: Path, mode: int | None = None) -> None:
    """Create a folder and the missing ones above it, like mkdir -p. Raises OSError.

    mode: of the folder itself, exactly; None: as of those above it, what the umask leaves of 0755,
    but never less than 0700. So umask 0 lets nobody else write there, and umask 0777 does not lock
    out the owner.
    """
    missing = []
    for place in (folder, *folder.parents):
        if place.exists():
            break
        missing.append(place)
    for place in reversed(missing):
        _make(place, mode if place == folder else None)
    if not missing and not folder.is_dir():
        folder.mkdir()


def _make(place: Path, mode: int | None) -> None:
    """Create one folder; another process may be faster.

    Not chmod(2) afterwards: whoever owns the folder above could have put a link there by then.
    """
    umask = os.umask(0)
    try:
        place.mkdir(0o755 & ~umask | 0o700 if mode is None else mode)
    except FileExistsError:
        if not place.is_dir():
            raise
    finally:
        os.umask(umask)
