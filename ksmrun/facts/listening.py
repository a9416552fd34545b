"""Who listens on a Unix socket (unix(7))."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

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
