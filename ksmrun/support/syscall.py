"""System calls that a Python may not have, by number, through libc's syscall(2)."""

from __future__ import annotations

import os
import sys

# arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h
NUMBERS = {
    "x86_64": {"getxattr": 191, "add_key": 248, "keyctl": 250, "memfd_create": 319},
    "aarch64": {"getxattr": 8, "add_key": 217, "keyctl": 219, "memfd_create": 279},
}


def syscall(name: str, *arguments: object) -> int | None:
    """Return the result, or None where the number is not known. Raises OSError.

    Whole numbers are passed as int, bytes as pointers.
    """
    # A launch does without it.
    import ctypes

    numbers = NUMBERS.get(os.uname().machine, {}) if sys.maxsize > 1 << 32 else {}
    if name not in numbers:
        return None
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    result = int(call(ctypes.c_long(numbers[name]), *arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
