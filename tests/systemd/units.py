"""Units of the tests' own, put into a guest and removed with everything they brought."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .boot import Guest

FOLDER = Path("etc/systemd/system")


def put(guest: Guest, name: str, text: str) -> Path:
    """Write a unit or, with a folder in its name, a drop-in; systemd is not told yet."""
    file = guest.root / FOLDER / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


@contextmanager
def installed(guest: Guest, units: dict[str, str]) -> Iterator[None]:
    """Install texts by their names, sockets first, and make systemd load them."""
    for name, text in units.items():
        put(guest, name, text)
    guest.run("systemctl", "daemon-reload")
    try:
        yield
    finally:
        running = [name.replace("@.", "@*.") for name in units if "/" not in name]
        guest.run("systemctl", "stop", "--", *running, check=False)
        for name in units:
            (guest.root / FOLDER / name).unlink(missing_ok=True)
            shutil.rmtree(guest.root / FOLDER / f"{name}.d", ignore_errors=True)
        # The next test's daemon-reload forgets them.
        guest.run("systemctl", "reset-failed")


@contextmanager
def trusting(guest: Guest, text: str, units: dict[str, str]) -> Iterator[None]:
    """Give the guest a trust file and these units; afterwards no domain is claimed."""
    file = guest.root / "etc/ksmrun/trust.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    try:
        with installed(guest, units):
            yield
    finally:
        file.unlink()
        guest.run("ksmrun", "trust", "release")


def some(names: Iterable[str], *always: str) -> list[Any]:
    """Return parameters of a test, some of which are for every version."""
    every = pytest.mark.every_version
    return [pytest.param(name, marks=[every] if name in always else []) for name in names]


def wrap(guest: Guest, *arguments: str, check: bool = True) -> str:
    """Run `ksmrun wrap unit`; return both outputs. Never a traceback."""
    done = guest.run("ksmrun", "wrap", "unit", *arguments, check=check)
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def show(guest: Guest, unit: str, name: str) -> str:
    return guest.run(
        "systemctl", "show", f"--property={name}", "--value", "--", unit
    ).stdout.strip()


def command(guest: Guest, unit: str) -> list[str]:
    """Return the words of the main process."""
    pid = show(guest, unit, "MainPID")
    words = (guest.root / "proc" / pid / "cmdline").read_bytes()
    return words.decode().rstrip("\0").split("\0")
