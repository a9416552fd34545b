"""Ports that no other program on this host takes before a test's own does."""

from __future__ import annotations

import contextlib
import random
import socket

# Below those that the kernel gives to connections of other tests (ip(7): ip_local_port_range).
FIRST, END = 10_000, 30_000


def free_port(count: int = 1) -> int:
    """Return the first of so many consecutive ports, free for TCP and UDP."""
    while True:
        first = random.randrange(FIRST, END - count)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in range(first, first + count):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    stack.enter_context(socket.socket(type=kind)).bind(("127.0.0.1", port))
            return first
