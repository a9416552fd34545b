"""Files that ksmrun writes beside a user's own: atomically, and never over somebody else's."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ksmrun.facts.text import read_text
from ksmrun.model import KsmrunError
from ksmrun.model.wrap import HEADER_MARK

# Those of one unit; others, as tmpfiles.d, are there for all.
UNIT_FOLDERS = (".service.d", ".container.d")


def is_foreign(file: Path) -> bool:
    """Whether there is a file that ksmrun did not write."""
    text = read_text(file)
    return file.is_symlink() or (text is not None and not text.startswith(HEADER_MARK))


def write_ours(file: Path, text: str) -> None:
    """Puts the file there, on disk before this returns, its folder made. Raises KsmrunError."""
    if is_foreign(file):
        raise KsmrunError(f"{file} is not ours", "move it away, or add the lines there yourself")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, text.encode("utf-8", "surrogateescape"), 0o644)
    except OSError as error:
        raise KsmrunError(f"cannot write {file}: {error.strerror}", _todo(error)) from error


def remove_ours(file: Path) -> bool:
    """Deletes it, and its unit's folder if nothing else is in it. False where there was none."""
    # Of a write that was killed.
    with contextlib.suppress(OSError):
        _temporary(file).unlink(missing_ok=True)
    if not file.exists() and not file.is_symlink():
        return False
    if is_foreign(file):
        raise KsmrunError(f"{file} is not ours", "look at it, and delete it yourself")
    try:
        file.unlink()
    except OSError as error:
        raise KsmrunError(f"cannot delete {file}: {error.strerror}", _todo(error)) from error
    if file.parent.name.endswith(UNIT_FOLDERS):
        with contextlib.suppress(OSError):
            file.parent.rmdir()
    return True


def replace_file(file: Path, data: bytes, mode: int) -> None:
    """Another content at once: whoever opens it sees the old or the new one. Raises OSError."""
    temporary = _temporary(file)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        output.write(data)
        output.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    temporary.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _temporary(file: Path) -> Path:
    """Ends in no suffix that anybody reads."""
    return file.with_name(f".{file.name}.new")


def _todo(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "run this as root"
    return "look at its folder, and at free space"
