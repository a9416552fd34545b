"""Send a request to a service, inside its guest, and print the answer: client.py SERVICE."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import urllib.request
from pathlib import Path

TIMEOUT_SECONDS = 10


def nginx() -> str:
    with urllib.request.urlopen("http://127.0.0.1/", timeout=TIMEOUT_SECONDS) as answer:
        return str(answer.status)


def redis() -> str:
    with socket.create_connection(("127.0.0.1", 6379), TIMEOUT_SECONDS) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(100).decode().strip()


def postgresql() -> str:
    command = ["runuser", "-u", "postgres", "--", "psql", "--no-psqlrc", "-Atc", "SELECT 6 * 7"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def php() -> str:
    """Send a FastCGI request: a responder's begin, its parameters, the end of both streams."""
    (path,) = Path("/run/php").glob("php8*-fpm.sock")
    Path("/tmp/answer.php").write_text("<?php echo 'PHP answers ', 6 * 7;")
    values = {"SCRIPT_FILENAME": "/tmp/answer.php", "REQUEST_METHOD": "GET"}
    texts = [(key.encode(), value.encode()) for key, value in values.items()]
    parameters = b"".join(bytes([len(key), len(value)]) + key + value for key, value in texts)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_SECONDS)
        connection.connect(str(path))
        for kind, content in ((1, struct.pack(">HB5x", 1, 0)), (4, parameters), (4, b""), (5, b"")):
            connection.sendall(struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content)
        answer = b""
        while received := connection.recv(4096):
            answer += received
    return "PHP answers 42" if b"PHP answers 42" in answer else repr(answer)


def openarena() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.settimeout(TIMEOUT_SECONDS)
        connection.sendto(b"\xff\xff\xff\xffgetstatus\n", ("127.0.0.1", 27960))
        return connection.recv(4096)[4:].split(b"\n")[0].decode()


if __name__ == "__main__":
    print(globals()[sys.argv[1]]())
