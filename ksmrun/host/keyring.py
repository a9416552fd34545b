"""Secret in the kernel's keyring of this user (user-keyring(7)).

It outlives the user's logins, is read by no other user but root, and ends with the boot.
"""

from __future__ import annotations

import contextlib
import ctypes

from ksmrun.support.syscall import syscall

# include/uapi/linux/keyctl.h
KEY_SPEC_USER_KEYRING = -4
KEYCTL_SETPERM, KEYCTL_SEARCH, KEYCTL_READ = 5, 10, 11
# All for who possesses it; view, read and search for other processes of this user.
PERMISSIONS = 0x3F0B0000
TYPE = b"user"
SECRET_BYTES_MAX = 1 << 12


def remember(name: str, secret: bytes) -> bool:
    """Store a secret, in place of the one of that name. Returns false where that is not possible.

    As in containers, whose seccomp profiles deny these calls.
    """
    if len(secret) > SECRET_BYTES_MAX:
        return False
    length = ctypes.c_size_t(len(secret))
    with contextlib.suppress(OSError):
        key = syscall("add_key", TYPE, name.encode(), secret, length, KEY_SPEC_USER_KEYRING)
        return key is not None and syscall("keyctl", KEYCTL_SETPERM, key, PERMISSIONS) is not None
    return False


def recall(name: str) -> bytes | None:
    """Return the secret of that name; None where there is none, or it cannot be read."""
    text, length = ctypes.create_string_buffer(SECRET_BYTES_MAX), None
    size = ctypes.c_size_t(SECRET_BYTES_MAX)
    with contextlib.suppress(OSError):
        key = syscall("keyctl", KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, TYPE, name.encode(), 0)
        length = None if key is None else syscall("keyctl", KEYCTL_READ, key, text, size)
    return text.raw[:length] if length is not None and length <= SECRET_BYTES_MAX else None
