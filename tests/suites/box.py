"""PID 1 of a box: empty /tmp, /run and similar; runs a command and prints what it left behind.

Run by unshare(1) with its own namespaces for mounts, PIDs, IPC and network: what is found
afterwards was left by the command, and all of it vanishes when this process ends.

box.py FD NAME=FOLDER... -- COMMAND [ARG]...
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

EMPTY = {"/tmp": "1777", "/var/tmp": "1777", "/dev/shm": "1777", "/run": "755", "/var/log": "755"}
# A daemon that was told to stop may still be ending; CPython's tests leave a `sleep 3`.
GRACE_SECONDS = 4.0
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def furnish(folders: dict[str, str]) -> None:
    """Prepare the box, with the same paths each time, so that outputs can be compared."""
    mount("-t", "tmpfs", "tmpfs", "/mnt")
    for name, folder in folders.items():
        place = Path("/mnt", name)
        place.mkdir()
        mount("--bind", folder, str(place))
    for place_, mode in EMPTY.items():
        mount("-t", "tmpfs", "-o", f"mode={mode}", "tmpfs", place_)
    # Other people's tests must not change the host's settings.
    mount("-o", "remount,bind,ro", "/sys")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh22x", b"lo", 0)
        (flags,) = struct.unpack("16xh22x", fcntl.ioctl(control, SIOCGIFFLAGS, request))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))


def processes() -> list[str]:
    """Return the names of all processes but this one."""
    found = [file for file in Path("/proc").glob("[0-9]*/comm") if file.parent.name != "1"]
    return sorted(file.read_text().strip() for file in found)


def ipc_objects() -> int:
    tables = [Path("/proc/sysvipc", name).read_text() for name in ("shm", "sem", "msg")]
    return sum(len(table.splitlines()) - 1 for table in tables)


def run(command: list[str]) -> int:
    """Return the command's exit code, or minus its signal; reap orphans meanwhile."""
    # Python ignores these two; no program should inherit that.
    default = [signal.SIGPIPE, signal.SIGXFSZ]
    main = os.posix_spawnp(command[0], command, os.environ, setsigdef=default)
    while True:
        pid, status = os.wait()
        if pid == main:
            return os.waitstatus_to_exitcode(status)


def reap_rest() -> None:
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
        except ChildProcessError:
            return


def main() -> None:
    end = sys.argv.index("--")
    report, *folders = sys.argv[1:end]
    command = sys.argv[end + 1 :]
    furnish(dict(folder.split("=", 1) for folder in folders))
    os.chdir("/mnt/work")
    os.set_inheritable(int(report), False)
    code = run(command)
    reap_rest()
    places = [*EMPTY, "/mnt/work"]
    files = sorted(str(path) for place in places for path in Path(place).rglob("*"))
    found = {"code": code, "files": files, "processes": processes(), "ipc": ipc_objects()}
    os.write(int(report), json.dumps(found).encode())


if __name__ == "__main__":
    main()
