"""Service of each kind: daemon.py KIND. It ends if something is wrong.

Runs inside a guest, with the Python of its root.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path


def tell(text: str) -> None:
    """Send a notification (sd_notify(3))."""
    address = os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(text.encode(), address)


def simple() -> None:
    signal.pause()


def notify() -> None:
    """Serve with a watchdog, of which the executed process is told."""
    if os.environ["WATCHDOG_PID"] != str(os.getpid()):
        sys.exit("the watchdog is another's")
    tell("READY=1\nSTATUS=serving")
    while True:
        tell("WATCHDOG=1")
        time.sleep(0.2)


def notify_reload() -> None:
    """Serve with Type=notify-reload (systemd 253 and later), which reloads by a signal."""

    def reload(*_: object) -> None:
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        tell(f"RELOADING=1\nMONOTONIC_USEC={now}")
        tell("READY=1\nSTATUS=reloaded")

    signal.signal(signal.SIGHUP, reload)
    tell("READY=1\nSTATUS=serving")
    while True:
        signal.pause()


def forking() -> None:
    """Fork like daemon(3): the parent ends when the child serves."""
    if child := os.fork():
        Path("/run/forking.pid").write_text(f"{child}\n")
        os._exit(0)
    os.setsid()
    signal.pause()


def field(code: int, kind: str, text: str) -> bytes:
    """Return a header field of a D-Bus message: a byte, a variant; each aligned to eight bytes."""
    data = struct.pack("<BB2sI", code, 1, kind.encode() + b"\0", len(text)) + text.encode() + b"\0"
    return data + bytes(-len(data) % 8)


def call(serial: int, member: str, signature: str = "", body: bytes = b"") -> bytes:
    """Return a call of the bus itself (D-Bus specification, "Message Format")."""
    fields = field(1, "o", "/org/freedesktop/DBus") + field(2, "s", "org.freedesktop.DBus")
    fields += field(3, "s", member) + field(6, "s", "org.freedesktop.DBus")
    if signature:
        fields += struct.pack("<BB2sB", 8, 1, b"g\0", len(signature)) + signature.encode() + b"\0"
    size = len(fields) if signature else len(fields.rstrip(b"\0")) + 1
    head = struct.pack("<cBBBIII", b"l", 1, 0, 1, len(body), serial, size) + fields
    return head + bytes(-len(head) % 8) + body


def dbus() -> None:
    """Serve under a bus name: ready when the bus has granted it."""
    name = b"ksmrun.Typed"
    with socket.socket(socket.AF_UNIX) as bus:
        bus.connect("/run/dbus/system_bus_socket")
        bus.sendall(b"\0AUTH EXTERNAL " + b"0".hex().encode() + b"\r\n")
        bus.recv(1000)
        body = struct.pack("<I", len(name)) + name + b"\0"
        body += bytes(-len(body) % 4) + struct.pack("<I", 0)
        bus.sendall(b"BEGIN\r\n" + call(1, "Hello") + call(2, "RequestName", "su", body))
        while bus.recv(4096):
            pass


def listens() -> list[int]:
    """Return the passed sockets (sd_listen_fds(3))."""
    if os.environ["LISTEN_PID"] != str(os.getpid()):
        sys.exit("the sockets are another's")
    return list(range(3, 3 + int(os.environ["LISTEN_FDS"])))


def accept() -> None:
    """Serve a socket unit with Accept=no: each connection gets the PID that serves it."""
    (descriptor,) = listens()
    listener = socket.socket(fileno=descriptor)
    while True:
        connection = listener.accept()[0]
        connection.sendall(f"{os.environ['LISTEN_FDNAMES']} {os.getpid()}\n".encode())
        connection.close()


def inherit() -> None:
    """Serve one with Accept=yes: the connection is stdin and stdout."""
    word = sys.stdin.readline().strip()
    print(f"{word} {os.getpid()} {Path('/proc/self/ksm_stat').read_text().split()}", flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
