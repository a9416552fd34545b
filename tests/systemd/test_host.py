"""`ksmrun host install`, and `monitor --auto` in its unit; guests share the KSM of the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ksmrun.host.borrow import borrowed

from .boot import Guest
from .conftest import USUAL
from .look import wait_until
from .test_monitor import UNIT, journal, monitored
from .units import show

KSM = Path("/sys/kernel/mm/ksm")
FILE = "etc/systemd/system/ksmrun-host.service"


def value(name: str) -> str:
    return (KSM / name).read_text().strip()


@pytest.fixture(params=USUAL, ids=[f"systemd{version}" for version in USUAL])
def host(
    request: pytest.FixtureRequest, guests: Callable[[int], Guest], tmp_path: Path
) -> Iterator[Guest]:
    """May write /sys, as a host's systemd may. Whatever happens, KSM is put back."""
    guest = guests(request.param)
    with borrowed({"run": "0", "pages_to_scan": "100"}, tmp_path):
        guest.run("mount", "-o", "remount,bind,rw", "/sys")
        yield guest
        guest.run("mount", "-o", "remount,bind,ro", "/sys")


def test_set_at_boot_and_taken_away(host: Guest) -> None:
    printed = host.run("ksmrun", "host", "install", "--max-cpu=10%", "--print").stdout
    assert "ExecStart=" in printed
    assert not (host.root / FILE).exists()
    said = host.run("ksmrun", "host", "install", "--max-cpu=10%").stdout
    assert "set now and at every boot" in said
    assert show(host, "ksmrun-host.service", "ActiveState") == "active"
    assert show(host, "ksmrun-host.service", "UnitFileState") == "enabled"
    rate = value("pages_to_scan")
    assert int(rate) > 100
    assert value("run") == "1"
    # As at a reboot, which has reset KSM.
    (KSM / "pages_to_scan").write_text("100")
    host.run("systemctl", "restart", "ksmrun-host.service")
    assert value("pages_to_scan") == rate
    # Once more, with something else.
    host.run("ksmrun", "host", "install", "--pass-time=5m")
    assert value("advisor_mode") == "none [scan-time]"
    assert value("advisor_target_scan_time") == "300"
    host.run("ksmrun", "host", "install", "--remove")
    assert (value("run"), value("pages_to_scan")) == ("0", "100")
    assert value("advisor_mode") == "[none] scan-time"
    assert not (host.root / FILE).exists()
    assert "no unit of ksmrun" in host.run("ksmrun", "host", "install", "--remove").stdout


def test_restore_takes_it_away_too(host: Guest) -> None:
    host.run("ksmrun", "host", "install", "--profile=gentle")
    host.run("ksmrun", "host", "restore")
    assert (value("run"), value("pages_to_scan")) == ("0", "100")
    assert not (host.root / FILE).exists()


def test_monitor_tunes_with_one_line_more(host: Guest) -> None:
    """And puts back when it is stopped, all of its processes at once."""
    with monitored(host, "interval_seconds = 0.5\nauto = true"):
        (KSM / "run").write_text("1")
        host.run("systemctl", "start", UNIT)
        wait_until(lambda: "pages_to_scan is read-only" in journal(host), "it is refused")
    with monitored(
        host, "interval_seconds = 0.5\nauto = true", "ReadWritePaths=/sys/kernel/mm/ksm\n"
    ):
        host.run("systemctl", "start", UNIT)
        wait_until(lambda: value("pages_to_scan") != "100", "it sets the rate")
        host.run("systemctl", "stop", UNIT)
        assert show(host, UNIT, "Result") == "success"
        assert value("pages_to_scan") == "100"
    (KSM / "run").write_text("0")
