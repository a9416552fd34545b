"""Services wrapped with a trust domain: root claims before each start, and the loser says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .boot import Guest
from .conftest import USUAL
from .look import merging
from .units import show, trusting, wrap

# With another user and a sandbox the claim is root's all the same; a service that hides /run makes
# none.
UNITS = {
    "web.service": "[Service]\nUser=nobody\nProtectSystem=strict\nExecStart=/usr/bin/sleep 1000\n",
    "mail.service": "[Service]\nExecStart=/usr/bin/sleep 1001\n",
    "hides.service": "[Service]\nTemporaryFileSystem=/run\nExecStart=/usr/bin/sleep 1002\n",
}
FILE = """
[domain.web]
units = ["web.service"]
[domain.mail]
units = ["mail.service", "hides.service"]
"""


@pytest.fixture(params=USUAL, ids=[f"systemd{version}" for version in USUAL])
def host(request: pytest.FixtureRequest, guests: Callable[[int], Guest]) -> Iterator[Guest]:
    guest = guests(request.param)
    with trusting(guest, FILE, UNITS):
        yield guest


def log(guest: Guest, unit: str) -> str:
    return guest.run("journalctl", f"--unit={unit}", "--no-pager", "--output=cat").stdout


def test_two_services_of_two_domains(host: Guest) -> None:
    for name in ("web", "mail"):
        wrap(host, "--domain", name, name)
    host.run("systemctl", "start", "web")
    assert merging(host, "web.service") == {True}
    # It starts all the same.
    host.run("systemctl", "start", "mail")
    assert merging(host, "mail.service") == {False}
    assert merging(host, "web.service") == {True}
    text = log(host, "mail")
    assert "of trust domain web merges" in text
    assert "domain web merges on this host, and not mail" in text
    host.run("systemctl", "stop", "web")
    host.run("systemctl", "restart", "mail")
    assert merging(host, "mail.service") == {True}
    host.run("systemctl", "start", "web")
    assert merging(host, "web.service") == {False}
    host.run("ksmrun", "trust", "check")
    # Without the drop-ins nothing is claimed for them.
    for name in ("web", "mail"):
        wrap(host, "--remove", name)
    host.run("systemctl", "restart", "web", "mail")
    assert merging(host, "web.service") == merging(host, "mail.service") == {False}


def test_a_domain_that_is_required(host: Guest) -> None:
    wrap(host, "--domain", "web", "web")
    wrap(host, "--domain", "mail", "--require", "mail")
    host.run("systemctl", "start", "web")
    assert host.run("systemctl", "start", "mail", check=False).returncode != 0
    assert show(host, "mail", "ActiveState") == "failed"
    assert "of trust domain web merges" in log(host, "mail")
    host.run("systemctl", "stop", "web")
    host.run("systemctl", "start", "mail")
    assert merging(host, "mail.service") == {True}


def test_a_service_that_hides_the_state(host: Guest) -> None:
    said = wrap(host, "--domain", "mail", "hides")
    assert "to do before it starts: sudo ksmrun trust claim mail" in said
    host.run("systemctl", "start", "hides")
    assert merging(host, "hides.service") == {False}
    host.run("ksmrun", "trust", "claim", "mail")
    host.run("systemctl", "restart", "hides")
    assert merging(host, "hides.service") == {True}


def test_what_the_file_does_not_have(host: Guest) -> None:
    said = wrap(host, "--domain", "games", "web", check=False)
    assert "there is no trust domain games" in said and "web, mail" in said
    (host.root / "etc/ksmrun/trust.toml").rename(host.root / "etc/ksmrun/kept")
    said = wrap(host, "--domain", "web", "web", check=False)
    (host.root / "etc/ksmrun/kept").rename(host.root / "etc/ksmrun/trust.toml")
    assert "there is no /etc/ksmrun/trust.toml" in said
    assert not (host.root / "etc/systemd/system/web.service.d").exists()
