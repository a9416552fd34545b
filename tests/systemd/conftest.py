"""Guests with systemd 252, 254, 257 and 262, booted once for all tests.

With KSMRUN_SUITES=all, all of them have the Debian services; otherwise only 252's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from compiled import compile_to
from volume import IS_LONG

from .boot import Guest
from .roots import build, built, roots

EVERYTHING = IS_LONG
ROOTS = roots(EVERYTHING)
# Of a short run; tests marked every_version always run in all.
USUAL = tuple(ROOTS) if EVERYTHING else (252,)
PROGRAMS = Path(__file__).parent.parent / "integration/programs"
# A user with their own manager.
USER = 1000


@pytest.fixture(scope="session")
def see(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a program that prints how it was started."""
    program = tmp_path_factory.mktemp("programs") / "see"
    compile_to(program, ["gcc", "-O1", "-static", PROGRAMS / "see.c"])
    return program


@pytest.fixture(scope="session")
def guests(tmp_path_factory: pytest.TempPathFactory, see: Path) -> Iterator[Callable[[int], Guest]]:
    """Return guests by systemd's version, booted when first asked for."""
    build(list(ROOTS.values()))
    running: dict[int, Guest] = {}

    def booted(version: int) -> Guest:
        if version not in running:
            folder = tmp_path_factory.mktemp(f"systemd{version}")
            running[version] = Guest(version, built(ROOTS[version]), folder)
            prepare(running[version], see)
        return running[version]

    yield booted
    for guest in running.values():
        guest.kill()


def prepare(guest: Guest, see: Path) -> None:
    """Boot one, with the launcher installed and a user."""
    target = guest.folder / "upper/usr/local/bin/see"
    target.write_bytes(see.read_bytes())
    target.chmod(0o755)
    guest.boot()
    guest.run("ksmrun", "wrap", "install")
    guest.run("useradd", "--create-home", f"--uid={USER}", f"user{USER}")


@pytest.fixture(scope="session", params=ROOTS, ids=[f"systemd{version}" for version in ROOTS])
def guest(request: pytest.FixtureRequest, guests: Callable[[int], Guest]) -> Guest:
    """Return each of them."""
    return guests(request.param)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "every_version: of systemd, also without KSMRUN_SUITES=all")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def is_left_out(item: pytest.Item) -> bool:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        is_usual = parameters.get("guest", USUAL[0]) in USUAL
        return not is_usual and item.get_closest_marker("every_version") is None

    left_out = [item for item in items if is_left_out(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
