"""Advice on errors that occur in many places."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
from pathlib import Path

from ksmrun.model.errors import EXIT_FAILURE, KsmrunError


def helper_todo(error: int, file: str | Path) -> str:
    """Return what to do if a program of ksmrun's own cannot be started (errno)."""
    if error in (errno.EACCES, errno.EPERM):
        quoted = shlex.quote(str(file))
        with contextlib.suppress(OSError):
            if os.statvfs(file).f_flag & os.ST_NOEXEC:
                return f"install ksmrun where nothing is mounted noexec: findmnt -T {quoted}"
        return f"see where permission is missing: namei -l {quoted}"
    if error in (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE):
        return "raise the limits (ulimit -n, -u and -v), or free memory"
    if error == errno.ENOEXEC:
        return (
            f"it is for another machine: install ksmrun again, the files for {os.uname().machine}"
        )
    return "install ksmrun again"


def require_module(name: str, need: str, extra: str, exit_code: int = EXIT_FAILURE) -> None:
    """Raise KsmrunError if a module is missing that this extra of ksmrun installs.

    need: what needs it, and its name, as in "--html needs Jinja".
    """
    # Imported here: it is asked for optional parts only.
    from importlib.util import find_spec

    if find_spec(name) is None:
        raise KsmrunError(
            f"{need}, which is not installed", f"run: pip install 'ksmrun[{extra}]'", exit_code
        )


def write_todo(error: OSError, other: str = "") -> str:
    """Return what to do if a file cannot be written; other: the way to name another one."""
    if error.errno in (errno.EACCES, errno.EPERM):
        todo = "run this as a user who may write there"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        todo = "free some space on its file system (df -h, df -i)"
    elif error.errno == errno.EROFS:
        todo = "make its file system writable"
    else:
        todo = "check the path"
    return f"{todo}, or {other}" if other else todo
