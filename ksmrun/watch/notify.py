"""Notify systemd of the monitor's state (sd_notify(3)), by a datagram."""

from __future__ import annotations

import os
import socket
import time


def notify(words: str) -> None:
    """Send to $NOTIFY_SOCKET; does nothing if systemd did not start this process. Never fails."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            # A name that begins with @ is in the abstract namespace (unix(7)).
            sender.connect("\0" + address[1:] if address[0] == "@" else address)
            sender.send(words.encode())
        except OSError:
            return


def watchdog_seconds() -> float:
    """Return systemd's watchdog interval (sd_watchdog_enabled(3)); infinite without one."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdigit() else float("inf")


def reloading() -> str:
    """Return the message that Type=notify-reload expects before a reload; READY=1 ends it."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
