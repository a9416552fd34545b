"""Executes ksmrun-exec in place of this process, with the environment it was given.

Python changes its own: in the C locale it adds LC_CTYPE (PEP 538), os.environ drops entries without
"=" and merges double ones, and os.execve cannot pass such entries on. So the environment is taken
from the kernel's copy, which nobody has changed, and handed to execve(2) itself.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ksmrun.model import EXIT_OWN_FAILURE, KsmrunError


def initial_environment() -> tuple[bytes, ...]:
    """The environment this process was started with, entry by entry (proc(5): environ)."""
    try:
        return _entries(Path("/proc/self/environ").read_bytes())
    except OSError:
        # Without /proc the best there is; a LC_CTYPE that Python set cannot be told apart.
        return tuple(name + b"=" + value for name, value in os.environb.items())


def initial_arguments(count: int) -> tuple[bytes, ...]:
    """The last count words of this process's command line, as the bytes they were."""
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
    """execve(2) of argv[0]; returns only by raising KsmrunError."""
    libc = ctypes.CDLL(None, use_errno=True)
    vector = ctypes.c_char_p * (len(argv) + 1)
    block = ctypes.c_char_p * (len(environment) + 1)
    libc.execve(argv[0], vector(*argv, None), block(*environment, None))
    error = ctypes.get_errno()
    # The only file that can lack here is the launcher; a command line too long is the program's.
    raise KsmrunError(
        f"cannot start {os.fsdecode(argv[0])}: {os.strerror(error)}",
        "shorten the arguments" if error == 7 else "install ksmrun again",
        126 if error == 7 else EXIT_OWN_FAILURE,
    )
