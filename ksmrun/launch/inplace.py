"""Execute ksmrun-exec in place of this process, with the environment that it was started with.

Python changes its own environment: in the C locale it adds LC_CTYPE (PEP 538), os.environ drops
entries without "=" and merges duplicates, and os.execve cannot pass such entries on. So the
environment is read from the kernel's unchanged copy and passed to execve(2) directly.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ksmrun.model.errors import EXIT_CANNOT_RUN, EXIT_NOT_FOUND, EXIT_OWN_FAILURE, KsmrunError
from ksmrun.support.advice import helper_todo

TOO_LONG_TODO = "shorten the arguments, or raise the stack limit (ulimit -s)"


def initial_environment() -> tuple[bytes, ...]:
    """Return the environment this process was started with, entry by entry (proc(5): environ)."""
    try:
        return _entries(Path("/proc/self/environ").read_bytes())
    except OSError:
        # Without /proc: the list of libc, where ksmrun/__main__.py has removed what Python set.
        return _libc_environment()


def _libc_environment() -> tuple[bytes, ...]:
    import ctypes

    block = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    entries: list[bytes] = []
    # A null pointer if everything was removed (clearenv(3)).
    while block and (entry := block[len(entries)]) is not None:
        entries.append(entry)
    return tuple(entries)


def initial_arguments(count: int) -> tuple[bytes, ...]:
    """Return the last count words of this process's command line, as the original bytes."""
    if count == 0:
        return ()
    try:
        return _entries(Path("/proc/self/cmdline").read_bytes())[-count:]
    except OSError:
        import sys

        return tuple(os.fsencode(word) for word in sys.argv[-count:])


def _entries(block: bytes) -> tuple[bytes, ...]:
    return tuple(block.split(b"\0")[:-1])


def exec_in_place(argv: Sequence[bytes], environment: Sequence[bytes]) -> NoReturn:
    """Execute argv[0], the launcher, by execve(2); returns only by raising KsmrunError."""
    error = _execute("execve", argv, environment)
    launcher = os.fsdecode(argv[0])
    raise KsmrunError(
        f"cannot start {launcher}: {os.strerror(error)}",
        TOO_LONG_TODO if error == errno.E2BIG else helper_todo(error, launcher),
        EXIT_OWN_FAILURE,
    )


def exec_by_path(argv: Sequence[bytes], environment: Sequence[bytes]) -> NoReturn:
    """Execute the program itself, as execvp(3) does; returns only by raising KsmrunError."""
    error = _execute("execvpe", argv, environment)
    raise KsmrunError(
        f"cannot run '{os.fsdecode(argv[0])}': {os.strerror(error)}",
        TOO_LONG_TODO if error == errno.E2BIG else "check the path and its permissions",
        EXIT_NOT_FOUND if error == errno.ENOENT else EXIT_CANNOT_RUN,
    )


def _execute(function: str, argv: Sequence[bytes], environment: Sequence[bytes]) -> int:
    """Execute argv by this function of libc; return errno."""
    # Imported here: only a launch needs it.
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    vector = ctypes.c_char_p * (len(argv) + 1)
    block = ctypes.c_char_p * (len(environment) + 1)
    getattr(libc, function)(argv[0], vector(*argv, None), block(*environment, None))
    return ctypes.get_errno()
