"""Services that are started by a socket: it reaches the program, and belongs to it."""

from __future__ import annotations

import shutil
import socket

import pytest

from .boot import Guest
from .look import merges, merging
from .test_types import DAEMON, PYTHON
from .units import installed, show, wrap

SOCKET = "[Socket]\nListenStream=/run/typed.sock\nFileDescriptorName=front\n"


def ask(guest: Guest, text: str = "") -> list[str]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(guest.root / "run/typed.sock"))
        if text:
            connection.sendall(text.encode())
        answer = b""
        while received := connection.recv(4096):
            answer += received
    return answer.decode().split()


@pytest.mark.every_version
def test_one_service_for_all(guest: Guest) -> None:
    """Accept=no: LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES; the daemon ends if they are wrong."""
    shutil.copy(DAEMON, guest.shared)
    units = {
        "typed.socket": SOCKET,
        "typed.service": f"[Service]\nExecStart={PYTHON} accept\n",
    }
    with installed(guest, units):
        guest.run("systemctl", "start", "typed.socket")
        assert ask(guest)[0] == "front"
        assert merging(guest, "typed.service") == {False}
        wrap(guest, "--method=wrapper", "--now", "typed.service")
        for _ in range(2):
            name, pid = ask(guest)
            assert (name, pid) == ("front", show(guest, "typed.service", "MainPID"))
            assert merging(guest, "typed.service") == {True}
            # The next connection starts it.
            guest.run("systemctl", "stop", "typed.service")
            guest.run("systemctl", "start", "typed.socket")
        wrap(guest, "--remove", "typed.service")


def test_one_service_for_each(guest: Guest) -> None:
    """Accept=yes: the connection is its stdin; its template is wrapped."""
    shutil.copy(DAEMON, guest.shared)
    units = {
        "typed.socket": SOCKET + "Accept=yes\n",
        "typed@.service": f"[Service]\nStandardInput=socket\nExecStart={PYTHON} inherit\n",
    }
    with installed(guest, units):
        guest.run("systemctl", "start", "typed.socket")
        answer = ask(guest, "hello\n")
        assert (answer[0], "ksm_merge_any:" in " ".join(answer)) == ("hello", True)
        assert "'no'" in flag(answer)
        wrap(guest, "--method=wrapper", "--now", "typed@")
        assert "'yes'" in flag(ask(guest, "hello\n"))
        with socket.socket(socket.AF_UNIX) as held:
            held.connect(str(guest.root / "run/typed.sock"))
            assert "'yes'" in flag(ask(guest, "hello\n"))
            listed = guest.run("systemctl", "list-units", "--plain", "--no-legend", "typed@*")
            (unit, *_) = listed.stdout.split()
            assert all(merges(pid) for pid in guest.pids(unit))
        wrap(guest, "--remove", "typed@")
        assert "'no'" in flag(ask(guest, "hello\n"))


def flag(answer: list[str]) -> str:
    """Return the word after ksm_merge_any."""
    at = next(i for i, word in enumerate(answer) if "ksm_merge_any" in word)
    return answer[at + 1]
