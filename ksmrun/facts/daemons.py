"""Daemon that a client talks to: the listener of its Unix socket (unix(7)), or by name."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from ksmrun.support.foreign import raise_shortage

CREDENTIALS = struct.Struct("3i")


def listener(path: Path) -> int | None:
    """Return the PID that called listen(2); None if nobody listens, 0 if it cannot be determined.

    The connection is closed at once: servers are used to clients that disconnect.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.connect(str(path))
            size = CREDENTIALS.size
            found = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        except BlockingIOError:
            # The backlog is full: other clients wait.
            return 0
        except (OSError, ValueError):
            # Missing, without a listener, another user's, or too long for a socket address.
            return None
    return int(CREDENTIALS.unpack(found)[0])


def named(name: str, root: Path = Path("/")) -> tuple[int, ...]:
    """Return the processes of this name (proc_pid_comm(5)) that are root's or this user's."""
    users = (0, os.geteuid())
    found = []
    for folder in (root / "proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            is_meant = (folder / "comm").read_bytes() == name.encode() + b"\n"
            if is_meant and folder.stat().st_uid in users:
                found.append(int(folder.name))
        except OSError as error:
            # The process has ended.
            raise_shortage(error)
    return tuple(sorted(found))
