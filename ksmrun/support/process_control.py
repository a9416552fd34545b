"""What ksmrun asks of prctl(2): by python-prctl, or by ctypes where that is missing.

It is compiled where it is installed, so it may not fit this Python, its libc, or newer headers.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from typing import Any

try:
    import prctl
except (ImportError, NameError):
    # NameError: python-prctl 1.8.1, built with headers that know a capability which it does not
    # (it uses a module "warnings" that it has not imported).
    prctl = None

# include/uapi/linux/prctl.h
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

# Bound here, because between fork and exec no library may be searched.
LIBC = ctypes.CDLL(None, use_errno=True)
PRCTL = LIBC.prctl


def become_subreaper() -> None:
    """Have orphaned descendants reparented to this process. Raises OSError."""
    if prctl is None:
        _call(PRCTL, PR_SET_CHILD_SUBREAPER, *map(ctypes.c_ulong, (1, 0, 0, 0)))
    else:
        prctl.set_child_subreaper(True)


def die_with_parent(number: signal.Signals) -> None:
    """Have this process receive a signal when its parent's thread ends. Raises OSError.

    ValueError for what is no signal.
    """
    number = signal.Signals(number)
    if prctl is None:
        _call(PRCTL, PR_SET_PDEATHSIG, *map(ctypes.c_ulong, (number, 0, 0, 0)))
    else:
        prctl.set_pdeathsig(number)


def _call(function: Callable[..., int], *arguments: Any) -> None:
    if function(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
