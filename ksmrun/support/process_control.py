"""What ksmrun asks of prctl(2) and capget(2): by python-prctl, or by ctypes where that is missing.

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
# include/uapi/linux/capability.h; its version 3 has two words of 32 capabilities.
CAPABILITY_VERSION = 0x20080522
WORDS = 2
CAPABILITIES = (
    *("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid"),
    *("setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw"),
    *("ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct"),
    *("sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod"),
    *("lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog"),
    *("wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore"),
)


# Bound here, because between fork and exec no library may be searched.
LIBC = ctypes.CDLL(None, use_errno=True)
PRCTL, CAPGET = LIBC.prctl, LIBC.capget


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Word(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


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


def effective_capabilities() -> tuple[str, ...]:
    """Return the effective capabilities of this thread, sorted by name. Raises OSError."""
    held = _by_capget() if prctl is None else _by_python_prctl()
    return tuple(sorted(name for index, name in enumerate(CAPABILITIES) if index in held))


def _by_python_prctl() -> set[int]:
    # By number: its name of the last one is "last_cap".
    asked = sorted(set(prctl.ALL_CAPS))
    held = prctl.get_caps((asked, prctl.CAP_EFFECTIVE))[prctl.CAP_EFFECTIVE]
    return {index for index in asked if held[index]}


def _by_capget() -> set[int]:
    header, words = _Header(CAPABILITY_VERSION, 0), (_Word * WORDS)()
    _call(CAPGET, ctypes.byref(header), words)
    bits = sum(word.effective << 32 * index for index, word in enumerate(words))
    return {index for index in range(32 * WORDS) if bits >> index & 1}


def _call(function: Callable[..., int], *arguments: Any) -> None:
    if function(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
