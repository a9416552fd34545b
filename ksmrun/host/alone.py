"""One experiment at a time on a host, whoever runs it."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from ksmrun.model import KsmrunError

# An abstract address (unix(7)): there is no file to be left, and no folder that all may write.
ADDRESS = b"\0ksmrun-ab"
# struct ucred: pid, uid, gid.
CREDENTIALS = struct.Struct("iII")


@contextmanager
def alone() -> Iterator[None]:
    """Raises KsmrunError with the other's PID. The kernel ends it with this process."""
    with socket.socket(socket.AF_UNIX) as held:
        try:
            held.bind(ADDRESS)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise KsmrunError(
                f"another experiment runs on this host, as PID {_owner()}", "wait for its end"
            ) from error
        held.listen()
        yield


def _owner() -> str:
    try:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(ADDRESS)
            # Of the one that called listen().
            data = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    except OSError:
        return "?"
    return str(CREDENTIALS.unpack(data)[0])
