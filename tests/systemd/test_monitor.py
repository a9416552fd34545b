"""Unit that `ksmrun monitor --print-unit` prints, unchanged except for what each test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import wait_until

from .boot import Guest
from .conftest import USER, USUAL
from .units import installed, show

pytestmark = pytest.mark.host_ksm
UNIT = "ksmrun-monitor.service"
READ = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:9739/metrics", timeout=60).read().decode())
"""
# A user's, and it merges. Its shared mappings never join.
MAPS = 3000
FLEET = f"""[Service]
Type=notify
NotifyAccess=all
User=user{USER}
ExecStart=/usr/local/libexec/ksmrun/ksmrun-exec -- python3 -c "import mmap, subprocess, time; \\
    maps = [mmap.mmap(-1, 4096) for _ in range({MAPS})]; \\
    subprocess.run(['systemd-notify', '--ready']); time.sleep(1000)"
"""
HELPER = "/opt/ksmrun/ksmrun/libexec/ksmrun-attach"
LIMIT = Path("/proc/sys/vm/max_map_count")


@pytest.fixture(params=USUAL, ids=[f"systemd{version}" for version in USUAL])
def host(request: pytest.FixtureRequest, guests: Callable[[int], Guest]) -> Iterator[Guest]:
    """Boot a guest with a user's process that merges."""
    guest = guests(request.param)
    with installed(guest, {"fleet.service": FLEET}):
        guest.run("systemctl", "start", "fleet")
        yield guest


@contextmanager
def monitored(guest: Guest, options: str, service: str = "") -> Iterator[None]:
    """Run the monitor with its own configuration, and a drop-in."""
    unit = guest.run("ksmrun", "monitor", "--print-unit").stdout
    drop_in = {f"{UNIT}.d/test.conf": f"[Service]\n{service}"} if service else {}
    configure(guest, options)
    # A previous test's would be read as well.
    guest.run("journalctl", "--rotate", "--vacuum-time=1s")
    with installed(guest, {UNIT: unit, **drop_in}):
        yield


def test_a_printed_unit_keeps_its_options(host: Guest) -> None:
    """As systemd reads them."""
    options = ["--auto", "--interval=0.5", "--on-alert=/bin/echo 'a b' $X %n \\", "--log=json"]
    unit = host.run("ksmrun", "monitor", *options, "--print-unit").stdout
    with installed(host, {UNIT: unit}):
        path = "/org/freedesktop/systemd1/unit/ksmrun_2dmonitor_2eservice"
        name = "org.freedesktop.systemd1"
        text = host.run(
            *("busctl", "--json=short", "get-property", name, path, f"{name}.Service", "ExecStart")
        ).stdout
        # ${X} and $$ are resolved when it is started.
        words = [word.replace("$$", "$") for word in json.loads(text)["data"][0][1]]
        assert set(words[2:]) == {*options, "--listen=127.0.0.1:9739"}
        assert show(host, UNIT, "ReadWritePaths") == "/sys/kernel/mm/ksm"


def configure(guest: Guest, options: str) -> None:
    file = guest.root / "etc/ksmrun/config.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"[monitor]\n{options}\n")


def metrics(guest: Guest) -> str:
    return guest.run("python3", "-c", READ).stdout


def journal(guest: Guest) -> str:
    return guest.run("journalctl", "--no-pager", "--output=cat", f"--unit={UNIT}").stdout


def state(guest: Guest) -> tuple[str, str, str]:
    names = ("ActiveState", "Result", "NRestarts")
    active, result, restarts = (show(guest, UNIT, name) for name in names)
    return active, result, restarts


def test_watches_reloads_and_stops(host: Guest) -> None:
    # A stop that takes longer than the unit says is a failure for systemd, and so here.
    with monitored(host, "interval = 0.3"):
        host.run("systemctl", "start", UNIT)
        assert state(host) == ("active", "success", "0")
        # Exposure in tenths, of 100; what remains is what it needs.
        host.run("systemd-analyze", "security", "--threshold=22", UNIT)
        wait_until(lambda: "1 processes" in show(host, UNIT, "StatusText"), "it has looked")
        assert show(host, UNIT, "WatchdogUSec") == "1min"
        # Of another user: PSS needs ptrace access, the rest files of mode 0400.
        names = 'command="python3",container="",namespace="",pod="",slurm_job=""'
        labels = f'{{{names},unit="fleet.service"}}'
        text = metrics(host)
        assert f"ksmrun_processes{labels} 1.0\n" in text
        maps, pss = (
            float(line.split()[-1])
            for name in ("ksmrun_maps_max", "ksmrun_pss_bytes")
            for line in text.splitlines()
            if line.startswith(name + labels)
        )
        assert maps > MAPS
        assert pss > 1 << 20
        assert "ksmrun_unreadable_processes 0.0\n" in text

        main = show(host, UNIT, "MainPID")
        by_pid = f'pid="{show(host, "fleet.service", "MainPID")}"'
        assert by_pid not in text
        configure(host, "interval = 0.3\nby_pid = true")
        host.run("systemctl", "reload", UNIT)
        wait_until(lambda: "info: reloaded" in journal(host), "the reload is told of")
        assert by_pid in metrics(host)
        configure(host, "interval = 0.3\nby_pid = 7")
        host.run("systemctl", "reload", UNIT)
        told = "not reloaded: /etc/ksmrun/config.toml: by_pid = 7 is not valid; give on or off"
        wait_until(lambda: told in journal(host), "the wrong file is told of")
        assert by_pid in metrics(host)
        assert show(host, UNIT, "MainPID") == main

        host.run("systemctl", "stop", UNIT)
        assert state(host) == ("inactive", "success", "0")
        assert "Traceback" not in journal(host)


def test_restarts(host: Guest) -> None:
    """Killed or hanging, it comes back; with an invalid configuration it stops trying."""
    quick = "RestartSec=100ms\nWatchdogSec=1s\nTimeoutAbortSec=100ms\n"
    for_ever = "[Unit]\nStartLimitIntervalSec=0\n"
    with monitored(host, "interval = 0.2", quick + for_ever):
        host.run("systemctl", "start", UNIT)
        fed = show(host, UNIT, "WatchdogTimestampMonotonic")
        wait_until(
            lambda: show(host, UNIT, "WatchdogTimestampMonotonic") != fed, "the watchdog is fed"
        )
        host.run("systemctl", "kill", "--signal=KILL", UNIT)
        wait_until(lambda: state(host) == ("active", "success", "1"), "it is back")
        host.run("systemctl", "kill", "--signal=STOP", UNIT)
        wait_until(lambda: state(host) == ("active", "success", "2"), "it is back from hanging")
        assert "Watchdog timeout" in journal(host)
        configure(host, "interval = 0")
        host.run("systemctl", "kill", "--signal=KILL", UNIT)
        wait_until(lambda: state(host)[:2] == ("failed", "exit-code"), "it is left alone")
        assert "interval = 0 is not valid; give a time in seconds from 0.1 to 3600" in journal(host)


@pytest.fixture
def limit(host: Guest) -> Iterator[int]:
    """Restore the host's limit, which guests share, afterwards.

    Meanwhile the guest may write it, as a host's systemd may: ReadWritePaths= leaves read-only what
    is read-only outside of the unit.
    """
    before = int(LIMIT.read_text())
    host.run("mount", "-o", "remount,bind,rw", "/proc/sys")
    yield before
    host.run("mount", "-o", "remount,bind,ro", "/proc/sys")
    if int(LIMIT.read_text()) != before:
        LIMIT.write_text(str(before))


def test_what_is_documented_lets_it_write(host: Guest, limit: int) -> None:
    """A higher map limit and a file for node_exporter: denied, except with a line in a drop-in."""
    # By one, so that others on this host do not notice.
    share = 1 - MAPS / limit
    raising = f"interval = 0.3\nraise_map_count_to = {limit + 1}\nmap_reserve = {share}"
    options = f'{raising}\ntextfile = "/var/lib/textfile"'
    host.run("mkdir", "-p", "/var/lib/textfile")
    with monitored(host, raising):
        host.run("systemctl", "start", UNIT)
        wait_until(lambda: f"{LIMIT} is read-only" in journal(host), "it is refused")
        assert f"in a systemd unit, set ReadWritePaths={LIMIT}" in journal(host)
        assert int(LIMIT.read_text()) == limit
        configure(host, options)
        host.run("systemctl", "reload", UNIT)
        told = "not reloaded: cannot write to /var/lib/textfile: Read-only file system"
        wait_until(lambda: told in journal(host), "it is refused")
        assert "ksmrun_alerts" in metrics(host)
    with monitored(host, options, f"ReadWritePaths={LIMIT} /var/lib/textfile\n"):
        host.run("systemctl", "start", UNIT)
        raised = f"vm.max_map_count: {limit} -> {limit + 1}"
        wait_until(lambda: raised in journal(host), "it is raised")
        assert int(LIMIT.read_text()) == limit + 1
        record = host.root / "var/lib/ksmrun/host.json"
        (change,) = json.loads(record.read_text())["changes"]
        assert (change["path"], change["before"]) == (str(LIMIT).lstrip("/"), str(limit))
        shown = host.run("cat", "/var/lib/textfile/ksmrun.prom", user=USER).stdout
        assert 'ksmrun_alerts{kind="map-headroom"} 1.0' in shown
    assert not list((host.root / "var/lib/textfile").iterdir())
    record.unlink()


@pytest.mark.parametrize(
    ("service", "outcome"), [("SystemCallFilter=ptrace kcmp", "filtered"), ("", "not-permitted")]
)
def test_what_is_documented_lets_it_follow(host: Guest, service: str, outcome: str) -> None:
    """In the unit's sandbox, by the helper itself, as programs need not be followed here.

    It reaches them; that they have a filter is systemd-nspawn's doing.
    """
    with installed(host, {"plain.service": "[Service]\nExecStart=sleep 1000\n"}):
        host.run("systemctl", "start", "plain")
        pid = show(host, "plain.service", "MainPID")
        start = f"Type=oneshot\nExecStart=\nExecStart={HELPER} mark {pid}\n"
        with monitored(host, "", f"{start}{service}\n"):
            host.run("systemctl", "start", UNIT, check=False)
            assert f"{pid} {outcome} " in journal(host)
