"""Services of a user's own manager, wrapped by the user."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .boot import Guest
from .conftest import USER
from .look import merging
from .test_types import DAEMON, PYTHON

HOME = f"home/user{USER}"
FOLDER = f"{HOME}/.config/systemd/user"


@pytest.fixture
def home(guest: Guest) -> Path:
    """Return the folder of the user's units; their manager runs, with one service."""
    shutil.copy(DAEMON, guest.shared)
    guest.run("systemctl", "start", f"user@{USER}")
    guest.run("mkdir", "-p", f"/{FOLDER}", user=USER)
    unit = f"[Service]\nType=notify\nWatchdogSec=5\nExecStart={PYTHON} notify\n"
    guest.run("sh", "-c", f"cat >/{FOLDER}/own.service", user=USER, text=unit)
    guest.run("systemctl", "--user", "daemon-reload", user=USER)
    return guest.root / HOME


def files(home: Path) -> dict[str, bytes]:
    """Return all files except what Python and ksmrun cache."""
    found = [path for path in home.rglob("*") if path.is_file() and ".cache" not in path.parts]
    return {str(path.relative_to(home)): path.read_bytes() for path in found}


@pytest.mark.every_version
def test_user_unit(guest: Guest, home: Path) -> None:
    def run(*words: str, check: bool = True) -> str:
        done = guest.run(*words, user=USER, check=check)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    before = files(home)
    run("systemctl", "--user", "start", "own")
    group = run("systemctl", "--user", "show", "--property=ControlGroup", "--value", "own").strip()
    assert merging(guest, group) == {False}
    printed = run("ksmrun", "wrap", "unit", "--user", "--print", "own")
    assert f"/{FOLDER}/own.service.d/" in printed
    assert files(home) == before
    run("ksmrun", "wrap", "unit", "--user", "--now", "own")
    assert merging(guest, group) == {True}
    assert "merging is on in all 1" in run("ksmrun", "wrap", "unit", "--user", "--check", "own")
    assert "own.service" in run("ksmrun", "wrap", "list")
    # Also in root's view.
    assert "own.service" in guest.run("ksmrun", "wrap", "list").stdout
    run("ksmrun", "wrap", "unit", "--user", "--remove", "--now", "own")
    assert merging(guest, group) == {False}
    assert files(home) == before
    assert run("ksmrun", "wrap", "unit", "--check", "own", check=False)
    run("systemctl", "--user", "stop", "own")


def test_the_system_is_not_the_users(guest: Guest, home: Path) -> None:
    """Without --user a message says that it takes root, and nothing changes."""
    before = sorted((guest.root / "etc/systemd").rglob("*"))
    done = guest.run("ksmrun", "wrap", "unit", "dbus", user=USER, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "root" in done.stderr
    assert sorted((guest.root / "etc/systemd").rglob("*")) == before
    assert home.is_dir()
