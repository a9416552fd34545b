"""One address layout for several services, which get the group's key by LoadCredential=."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from compiled import compile_to

from .boot import Guest
from .conftest import PROGRAMS, USER
from .units import installed, put, show, wrap

PLACES = ("program", "local", "mmap", "brk", "vdso")
KEYS = "/run/ksmrun/layout/units"
UNIT = (
    "[Service]\nType=oneshot\nExecStart=/srv/where\n"
    "StandardOutput=truncate:/shared/where-%i.json\nStandardError=journal\n"
)


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a program that prints the addresses of its parts."""
    program = tmp_path_factory.mktemp("programs") / "where"
    compile_to(program, ["gcc", "-O1", "-static-pie", "-w", PROGRAMS / "where.c"])
    return program


@pytest.fixture
def layout(guest: Guest, where: Path) -> Callable[[str], tuple[int, ...]]:
    """Restart an instance of placed@.service; return its addresses."""
    (guest.root / "srv").mkdir(exist_ok=True)
    shutil.copy(where, guest.root / "srv/where")

    def places(instance: str) -> tuple[int, ...]:
        guest.run("systemctl", "start", f"placed@{instance}")
        file = guest.shared / f"where-{instance}.json"
        found = json.loads(file.read_text())
        file.unlink()
        return tuple(found[place] for place in PLACES)

    return places


@pytest.mark.every_version
def test_instances_of_a_template(guest: Guest, layout: Callable[[str], tuple[int, ...]]) -> None:
    with installed(guest, {"placed@.service": UNIT}):
        assert layout("a") != layout("b")
        wrap(guest, "--layout=shared", "--layout-group=games", "placed@")
        first = layout("a")
        assert layout("b") == layout("a") == first
        key = guest.root / KEYS.lstrip("/") / "games.key"
        status = key.stat()
        assert (status.st_mode & 0o777, status.st_uid, status.st_size) == (0o400, 0, 32)
        # Another group has another.
        wrap(guest, "--layout=shared", "--layout-group=others", "placed@")
        assert layout("a") == layout("b") != first
        wrap(guest, "--remove", "placed@")
        assert layout("a") != layout("b")
        assert not key.exists()
        assert not list((guest.root / "etc/systemd/system").glob("ksmrun-*"))


@pytest.mark.parametrize(
    "setting",
    [f"User=user{USER}", "DynamicUser=yes\nNoNewPrivileges=yes\nProtectSystem=strict\n"],
)
def test_services_of_other_users(
    guest: Guest, layout: Callable[[str], tuple[int, ...]], setting: str
) -> None:
    """systemd gives the key to users who cannot read it themselves."""
    with installed(guest, {"placed@.service": f"{UNIT}{setting}\n"}):
        wrap(guest, "--layout=shared", "placed@")
        assert layout("a") == layout("b")
        wrap(guest, "--remove", "placed@")


def test_a_missing_key(guest: Guest, layout: Callable[[str], tuple[int, ...]]) -> None:
    """The service starts anyway, with a layout of its own, and says so."""
    with installed(guest, {"placed@.service": UNIT}):
        wrap(guest, "--layout=shared", "placed@")
        shared = layout("a")
        guest.run("rm", f"{KEYS}/default.key")
        guest.run("systemctl", "mask", "--runtime", "--now", "ksmrun-layout-key@default")
        try:
            assert layout("a") != layout("b")
            log = guest.run("journalctl", "--output=cat", "--unit=placed@b", "--lines=20").stdout
            assert "ksmrun-exec: " in log
        finally:
            guest.run("systemctl", "unmask", "--runtime", "ksmrun-layout-key@default")
            guest.run("systemctl", "daemon-reload")
        assert layout("a") == layout("b") == shared
        wrap(guest, "--remove", "placed@")


def test_a_filter_without_ptrace(guest: Guest, layout: Callable[[str], tuple[int, ...]]) -> None:
    """@system-service has no ptrace: reported when wrapping, and the service starts merged."""
    text = f"{UNIT}SystemCallFilter=@system-service\n"
    with installed(guest, {"placed@.service": text}):
        said = wrap(guest, "--layout=shared", "--method=wrapper", "placed@")
        assert "SystemCallFilter= of placed@.service denies ptrace" in said
        assert layout("a") != layout("b")
        # With it, as the message says.
        put(guest, "placed@.service.d/10-own.conf", "[Service]\nSystemCallFilter=ptrace\n")
        guest.run("systemctl", "daemon-reload")
        assert "denies" not in wrap(guest, "--layout=shared", "placed@")
        assert layout("a") == layout("b")
        wrap(guest, "--remove", "placed@")


def test_a_long_running_service_with_require(
    guest: Guest, layout: Callable[[str], tuple[int, ...]]
) -> None:
    """--now waits for it, and --check sees the processes around it as well."""
    text = "[Service]\nExecStart=/srv/where wait\n"
    assert layout is not None
    with installed(guest, {"waiting.service": text}):
        wrap(guest, "--now", "--layout=shared", "--require", "waiting")
        assert show(guest, "waiting", "ActiveState") == "active"
        assert "merging is on in all" in wrap(guest, "--check", "waiting")
        wrap(guest, "--remove", "waiting")
