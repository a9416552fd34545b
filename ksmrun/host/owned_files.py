"""Files that ksmrun writes beside a user's own: atomically, and never over files of others."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ksmrun.model.errors import KsmrunError
from ksmrun.model.wrap import HEADER_MARK
from ksmrun.support.folders import make_folder
from ksmrun.support.foreign import read_text
from ksmrun.support.safefile import is_temporary_of, replace_file

# Folders of a single unit; others, like tmpfiles.d, are shared.
UNIT_FOLDERS = (".service.d", ".container.d")


def is_foreign(file: Path) -> bool:
    """Return whether a file exists that ksmrun did not write."""
    if not os.path.lexists(file):
        return False
    text = read_text(file, len(HEADER_MARK))
    return file.is_symlink() or text != HEADER_MARK


def write_ours(file: Path, text: str) -> None:
    """Write the file, creating its folder; on disk before this returns. Raises KsmrunError."""
    if is_foreign(file):
        raise KsmrunError(
            f"{file} was not written by ksmrun", "move it away, or add the lines to it yourself"
        )
    try:
        make_folder(file.parent)
        replace_file(file, text.encode("utf-8", "surrogateescape"), 0o644)
    except OSError as error:
        raise KsmrunError(f"cannot write {file}: {error.strerror}", _todo(error)) from error


def remove_ours(file: Path) -> bool:
    """Delete the file, and its unit's folder if that is empty then. False if there was no file."""
    # Left by a write that was killed.
    with contextlib.suppress(OSError):
        for each in file.parent.iterdir():
            if is_temporary_of(file.name, each.name):
                each.unlink(missing_ok=True)
    if not file.exists() and not file.is_symlink():
        return False
    if is_foreign(file):
        raise KsmrunError(f"{file} was not written by ksmrun", "read it, and delete it yourself")
    try:
        file.unlink()
    except OSError as error:
        raise KsmrunError(f"cannot delete {file}: {error.strerror}", _todo(error)) from error
    if file.parent.name.endswith(UNIT_FOLDERS):
        with contextlib.suppress(OSError):
            file.parent.rmdir()
    return True


def _todo(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "run this as root"
    return "look at its folder, and at free space"
