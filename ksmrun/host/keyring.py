"""Secret in the kernel's keyring of this user (user-keyring(7)).

It outlives the user's logins, is read by no other user but root, and ends with the boot.
"""

from __future__ import annotations

import ctypes
import platform

# Numbers of add_key(2) and keyctl(2).
CALLS = {"x86_64": (248, 250), "aarch64": (217, 219)}
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
    calls = CALLS.get(platform.machine())
    if calls is None or len(secret) > SECRET_BYTES_MAX:
        return False
    add_key, keyctl = calls
    length = ctypes.c_size_t(len(secret))
    key = _call(add_key, TYPE, name.encode(), secret, length, KEY_SPEC_USER_KEYRING)
    return key >= 0 and _call(keyctl, KEYCTL_SETPERM, key, PERMISSIONS) >= 0


def recall(name: str) -> bytes | None:
    """Return the secret of that name; None where there is none, or it cannot be read."""
    calls = CALLS.get(platform.machine())
    if calls is None:
        return None
    keyctl = calls[1]
    key = _call(keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, TYPE, name.encode(), 0)
    text = ctypes.create_string_buffer(SECRET_BYTES_MAX)
    length = -1
    if key >= 0:
        length = _call(keyctl, KEYCTL_READ, key, text, ctypes.c_size_t(SECRET_BYTES_MAX))
    return text.raw[:length] if 0 <= length <= SECRET_BYTES_MAX else None


def _call(number: int, *arguments: object) -> int:
    syscall = ctypes.CDLL(None).syscall
    syscall.restype = ctypes.c_long
    return int(syscall(number, *arguments))
