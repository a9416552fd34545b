"""Debian's own services: wrapped, queried, restarted, reloaded, stopped, and unwrapped."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from waiting import wait_until

from .boot import Guest
from .conftest import ROOTS
from .look import merging, shown, tree

CLIENT = Path(__file__).with_name("client.py")


@dataclass(frozen=True)
class Service:
    """Service; client.py has its request.

    unit: a pattern, because Debian's names contain versions.
    """

    name: str
    unit: str
    answer: str
    reloads: bool


SERVICES = (
    Service("nginx", "nginx.service", "200", True),
    Service("redis", "redis-server.service", "+PONG", False),
    Service("postgresql", "postgresql@*-main.service", "42", True),
    Service("php", "php*-fpm.service", "PHP answers 42", True),
    Service("openarena", "openarena-server.service", "statusResponse", False),
)
VERSIONS = [version for version, root in ROOTS.items() if root.has_services]


@pytest.fixture(params=VERSIONS, ids=[f"systemd{version}" for version in VERSIONS])
def host(request: pytest.FixtureRequest, guests: Callable[[int], Guest]) -> Guest:
    guest = guests(request.param)
    shutil.copy(CLIENT, guest.shared)
    return guest


def ask(guest: Guest, service: Service) -> bool:
    done = guest.run("python3", "/shared/client.py", service.name, check=False)
    return done.stdout.strip() == service.answer


def unit_of(guest: Guest, service: Service) -> str:
    listed = guest.run("systemctl", "list-units", "--plain", "--no-legend", "--", service.unit)
    return listed.stdout.split()[0]


def result(guest: Guest, unit: str) -> str:
    """Return how it ended; some do not end cleanly when they are told to."""
    return guest.run("systemctl", "show", "--property=Result,ExecMainStatus", unit).stdout


@pytest.mark.parametrize("service", SERVICES, ids=[service.name for service in SERVICES])
def test_service(host: Guest, service: Service) -> None:
    unit = unit_of(host, service)
    host.run("systemctl", "stop", unit)
    stopped = result(host, unit)
    host.run("systemctl", "start", unit)
    wait_until(lambda: ask(host, service), f"{unit} answers")
    before = shown(host, unit), tree(host)
    assert merging(host, unit) == {False}
    assert host.run("ksmrun", "wrap", "unit", "--check", unit, check=False).returncode == 1

    printed = host.run("ksmrun", "wrap", "unit", "--print", unit)
    assert "[Service]" in printed.stdout
    assert (shown(host, unit), tree(host)) == before, "--print changed something"

    host.run("ksmrun", "wrap", "unit", "--now", unit)
    assert host.run("ksmrun", "wrap", "unit", "--check", unit).returncode == 0
    # Its workers may still be starting.
    wait_until(lambda: ask(host, service), f"{unit} answers, wrapped")
    assert merging(host, unit) == {True}
    host.run("systemctl", "restart", unit)
    wait_until(lambda: ask(host, service), f"{unit} answers after a restart")
    assert merging(host, unit) == {True}
    if service.reloads:
        main = host.run("systemctl", "show", "--property=MainPID", unit).stdout
        host.run("systemctl", "reload", unit)
        wait_until(lambda: ask(host, service), f"{unit} answers after a reload")
        assert merging(host, unit) == {True}
        assert host.run("systemctl", "show", "--property=MainPID", unit).stdout == main
    host.run("systemctl", "stop", unit)
    assert result(host, unit) == stopped
    host.run("systemctl", "start", unit)
    wait_until(lambda: ask(host, service), f"{unit} answers after a stop")

    host.run("ksmrun", "wrap", "unit", "--remove", "--now", unit)
    wait_until(lambda: ask(host, service), f"{unit} answers, put back")
    assert merging(host, unit) == {False}
    after = shown(host, unit), tree(host)
    assert after[0] == before[0]
    assert after[1] == before[1]
