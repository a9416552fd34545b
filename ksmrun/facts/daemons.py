"""Which process a client talks to: who listens on its Unix socket (unix(7)), or by its name."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from ksmrun.support.foreign import raise_shortage

CREDENTIALS = struct.Struct("3i")


def listener(path: Path) -> int | None:
    """Return the PID of who called listen(2); None where nobody listens, 0 where it cannot be told.

    The connection is closed at once: servers are used to clients that go away.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.connect(str(path))
            size = CREDENTIALS.size
            found = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        except BlockingIOError:
            # Others wait to be let in.
            return 0
        except (OSError, ValueError):
            # Not there, nobody's, another user's; a path that no address holds.
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
            # It ended meanwhile.
            raise_shortage(error)
    return tuple(sorted(found))
