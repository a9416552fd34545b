"""Trust domains of real services: slices, instances, and units that only a user's manager knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from waiting import wait_until

from .boot import Guest
from .conftest import USER, USUAL
from .test_monitor import monitored
from .units import show, trusting

# Of the guest's processes only; the flag needs no ksmd.
PRCTL = "assert ctypes.CDLL(None).prctl(67, 1, 0, 0, 0) == 0"
MADVISE = (
    "memory = mmap.mmap(-1, 1 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS); memory.madvise(12)"
)


def service(how: str, more: str = "") -> str:
    code = f"import ctypes, mmap, subprocess, time; {how}; "
    code += "subprocess.run(['systemd-notify', '--ready']); time.sleep(1000)"
    return f"""[Service]
Type=notify
NotifyAccess=all
{more}
ExecStart=/usr/bin/python3 -c "{code}"
"""


UNITS = {
    "shop@.service": service(PRCTL),
    "stock.service": service(PRCTL, "Slice=shop-stock.slice"),
    "qemu.service": service(MADVISE),
    "spare.service": service(PRCTL),
}
FILE = """
[domain.shop]
units = ["shop@*.service", "shop.slice"]
[domain.vms]
units = ["qemu.service"]
[exempt]
units = ["spare.service"]
"""


@pytest.fixture(params=USUAL, ids=[f"systemd{version}" for version in USUAL])
def host(request: pytest.FixtureRequest, guests: Callable[[int], Guest]) -> Iterator[Guest]:
    """Boot a guest with a trust file, and services that merge unasked."""
    guest = guests(request.param)
    with trusting(guest, FILE, UNITS):
        guest.run("systemctl", "start", "shop@1", "stock", "spare")
        guest.run("systemctl", "start", "qemu")
        yield guest


def look(guest: Guest) -> dict[str, dict[str, Any]]:
    """Return the merging processes by their units."""
    document = json.loads(guest.run("ksmrun", "trust", "show", "--json").stdout)
    return {each["place"]: each for each in document["processes"]}


def test_services_are_in_the_domains_of_their_units(host: Guest) -> None:
    found = look(host)
    domains = {unit: each["domains"] for unit, each in found.items()}
    assert domains == {
        "shop@1.service": ["shop"],
        "stock.service": ["shop"],
        "qemu.service": ["vms"],
        "spare.service": [],
    }
    assert found["qemu.service"]["wrong"] == "is in trust domain vms, while shop merges"
    assert found["spare.service"]["exempt"]
    done = host.run("ksmrun", "trust", "claim", "vms", check=False)
    assert "of trust domain shop merges, and 1 more" in done.stderr
    host.run("systemctl", "stop", "shop@1", "stock")
    host.run("ksmrun", "trust", "claim", "vms")
    host.run("ksmrun", "trust", "check")


def test_a_unit_that_a_user_names_so_is_in_no_domain(host: Guest) -> None:
    host.run("systemctl", "start", f"user@{USER}")
    run = ("systemd-run", "--user", "--unit=shop@9.service", "--slice=shop.slice")
    code = f"import ctypes, time; {PRCTL}; time.sleep(1000)"
    host.run(*run, "/usr/bin/python3", "-c", code, user=USER)
    place = f"user@{USER}.service/shop@9.service"
    try:
        wait_until(lambda: place in look(host))
        assert look(host)[place]["domains"] == []
    finally:
        host.run("systemctl", "--user", "stop", "shop@9.service", user=USER)


def test_without_root_only_what_can_be_seen_is_judged(host: Guest) -> None:
    done = host.run("ksmrun", "trust", "check", user=USER, check=False)
    assert done.returncode == 1
    assert "may merge and cannot be seen here" in done.stdout
    for words in (("claim", "shop"), ("release",)):
        done = host.run("ksmrun", "trust", *words, user=USER, check=False)
        assert done.returncode == 1
        assert "only root claims and releases; run: sudo" in done.stderr


def test_the_monitors_unit_says_whom_its_sandbox_keeps_it_from(host: Guest) -> None:
    """All of a guest has systemd-nspawn's filter, which a process with a filter may not read."""
    needed = "SystemCallFilter=ptrace kcmp"
    assert needed in host.run("ksmrun", "monitor", "--enforce", "--print-unit").stdout

    def log() -> str:
        return host.run("journalctl", "--unit=ksmrun-monitor", "--no-pager").stdout

    with monitored(host, "enforce = true\ninterval = 0.5", needed):
        host.run("systemctl", "start", "ksmrun-monitor")
        pid = show(host, "qemu", "MainPID")
        wait_until(lambda: f"not detached: PID {pid} (python3, qemu.service): " in log())
        text = log()
        assert f"foreign-merger: PID {pid} (python3, qemu.service) merges, and is in" in text
        assert "its seccomp filter denies the system call, or this user cannot read" in text
        assert text.count("foreign-merger") == 1
        assert text.count("not detached") == 1
