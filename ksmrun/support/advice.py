"""Advice on errors that occur in many places."""

from __future__ import annotations

import errno
import shlex
from pathlib import Path


def helper_todo(error: int, file: str | Path) -> str:
    """Return what to do if a program of ksmrun's own cannot be started (errno)."""
    if error in (errno.EACCES, errno.EPERM):
        return f"see where permission is missing: namei -l {shlex.quote(str(file))}"
    if error in (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE):
        return "raise the limits (ulimit -n, -u and -v), or free memory"
    return "install ksmrun again with pip"


def write_todo(error: int, other: str) -> str:
    """Return what to do if a file cannot be written; other: the way to name another one."""
    if error in (errno.EACCES, errno.EPERM):
        return f"run this as a user who may write there, or {other}"
    if error in (errno.ENOSPC, errno.EDQUOT):
        return f"free some space there, or {other}"
    if error == errno.EROFS:
        return f"{other}, as that file system is read-only"
    return f"check the path, or {other}"
