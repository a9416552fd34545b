"""Guests with systemd 252, 254, 257 and 262, booted once for all tests.

KSMRUN_SUITES=all has the Debian services in all of them; else they are in 252's only.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .boot import Guest
from .roots import build, built, roots

ROOTS = roots(os.environ.get("KSMRUN_SUITES") == "all")
PROGRAMS = Path(__file__).parent.parent / "integration/programs"
# A user with a manager of his own.
USER = 1000


@pytest.fixture(scope="session")
def guests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Guest]]:
    """By systemd's version; booted when first asked for, with the launcher installed."""
    build(list(ROOTS.values()))
    see = tmp_path_factory.mktemp("programs") / "see"
    subprocess.run(["gcc", "-O1", "-static", "-o", see, PROGRAMS / "see.c"], check=True)
    running: dict[int, Guest] = {}

    def booted(version: int) -> Guest:
        if version not in running:
            folder = tmp_path_factory.mktemp(f"systemd{version}")
            guest = running[version] = Guest(version, built(ROOTS[version]), folder)
            target = folder / "upper/usr/local/bin/see"
            target.write_bytes(see.read_bytes())
            target.chmod(0o755)
            guest.boot()
            guest.run("ksmrun", "wrap", "install")
            guest.run("useradd", "--create-home", f"--uid={USER}", f"user{USER}")
        return running[version]

    yield booted
    for guest in running.values():
        guest.kill()


@pytest.fixture(scope="session", params=ROOTS, ids=[f"systemd{version}" for version in ROOTS])
def guest(request: pytest.FixtureRequest, guests: Callable[[int], Guest]) -> Guest:
    """Each of them."""
    return guests(request.param)
