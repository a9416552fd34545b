"""`ksmrun host install`, and `monitor --auto` in its unit; guests share the KSM of the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import wait_until

from ksmrun.host.temporary_tunables import borrowed

from .boot import Guest
from .conftest import USUAL
from .test_monitor import UNIT, journal, monitored
from .units import show

pytestmark = pytest.mark.host_ksm
KSM = Path("/sys/kernel/mm/ksm")
FILE = "etc/systemd/system/ksmrun-host.service"


def value(name: str) -> str:
    return (KSM / name).read_text().strip()


@pytest.fixture(params=USUAL, ids=[f"systemd{version}" for version in USUAL])
def host(
    request: pytest.FixtureRequest, guests: Callable[[int], Guest], tmp_path: Path
) -> Iterator[Guest]:
    """Boot a guest that may write /sys, as a host's systemd may. KSM is always restored."""
    guest = guests(request.param)
    with borrowed({}, tmp_path):
        guest.run("mount", "-o", "remount,rw", "/sys/kernel")
        yield guest
        guest.run("mount", "-o", "remount,ro", "/sys/kernel")


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
    # Again, with another setting.
    host.run("ksmrun", "host", "install", "--scan-time=5m")
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


def test_monitor_sees_no_ksmd_here(host: Guest) -> None:
    """Kernel threads are not in a guest's PID namespace: their CPU time is unknown."""
    with monitored(host, "interval = 0.5\nauto = true"):
        host.run("systemctl", "start", UNIT)
        wait_until(lambda: "ksmd is not visible here" in journal(host), "it says so")
        assert show(host, UNIT, "ActiveState") == "active"
