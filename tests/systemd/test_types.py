"""Every Type= of a service: ready in time, with the same main process, wrapped or not."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from waiting import wait_until

from .boot import Guest
from .look import merges, merging
from .units import command, installed, put, show, some, wrap

DAEMON = Path(__file__).with_name("daemon.py")
PYTHON = "/usr/bin/python3 -B /shared/daemon.py"
TYPES = {
    "simple": f"Type=simple\nExecStart={PYTHON} simple\n",
    "exec": f"Type=exec\nExecStart={PYTHON} simple\n",
    "idle": f"Type=idle\nExecStart={PYTHON} simple\n",
    "notify": f"Type=notify\nWatchdogSec=5\nExecStart={PYTHON} notify\n",
    "forking": f"Type=forking\nPIDFile=/run/forking.pid\nExecStart={PYTHON} forking\n",
    "dbus": f"Type=dbus\nBusName=ksmrun.Typed\nExecStart={PYTHON} dbus\n",
    "notify-reload": f"Type=notify-reload\nExecStart={PYTHON} notify_reload\n",
}
POLICY = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><policy user="root"><allow own="ksmrun.Typed"/></policy></busconfig>
"""
SINCE = {"notify-reload": 253}


@pytest.fixture(autouse=True)
def daemon(guest: Guest) -> None:
    shutil.copy(DAEMON, guest.shared)
    policy = guest.root / "etc/dbus-1/system.d/ksmrun-typed.conf"
    if not policy.exists():
        policy.write_text(POLICY)
        guest.run("systemctl", "reload", "dbus")


def methods(guest: Guest, kind: str) -> list[str]:
    """Return the methods to test: systemd's own needs no test with each type."""
    return ["wrapper", "memory-ksm"] if guest.version >= 256 and kind == "notify" else ["wrapper"]


@pytest.mark.parametrize("kind", some(TYPES, "notify", "notify-reload"))
def test_type(guest: Guest, kind: str) -> None:
    if guest.version < SINCE.get(kind, 0):
        return
    with installed(guest, {"typed.service": "[Service]\n" + TYPES[kind]}):
        guest.run("systemctl", "start", "typed")
        words = command(guest, "typed")
        assert merging(guest, "typed") == {False}
        for method in methods(guest, kind):
            wrap(guest, "--now", f"--method={method}", "typed")
            assert show(guest, "typed", "ActiveState") == "active"
            assert show(guest, "typed", "StatusText") in ("", "serving")
            assert merging(guest, "typed") == {True}
            # With Type=simple it may still be the launcher.
            wait_until(lambda: command(guest, "typed") == words, "the program itself runs")
            if kind == "notify-reload":
                guest.run("systemctl", "reload", "typed")
                assert show(guest, "typed", "StatusText") == "reloaded"
            assert "merging is on in all 1 processes" in wrap(guest, "--check", "typed")
            wrap(guest, "--remove", "--now", "typed")
            assert merging(guest, "typed") == {False}


@pytest.mark.parametrize(
    ("middle", "order"), [("/bin/false", "a"), ("-/bin/false", "ab"), ("/bin/true", "ab")]
)
def test_oneshot_in_order(guest: Guest, middle: str, order: str) -> None:
    """Several commands: the first that fails is the last, except for those with a dash."""
    lines = (
        "/bin/sh -c 'printf a >>/shared/order'",
        middle,
        "/bin/sh -c 'printf b >>/shared/order'",
    )
    text = "[Service]\nType=oneshot\n" + "".join(f"ExecStart={line}\n" for line in lines)
    results = []
    with installed(guest, {"typed.service": text}):
        for _ in range(2):
            guest.run("systemctl", "start", "typed", check=False)
            results.append(
                [show(guest, "typed", name) for name in ("Result", "ExecMainStatus", "ActiveState")]
            )
            assert (guest.shared / "order").read_text() == order
            (guest.shared / "order").unlink()
            guest.run("systemctl", "reset-failed")
            wrap(guest, "--method=wrapper", "typed")
    assert results[0] == results[1]


def test_a_service_that_fails_has_back_what_it_had(guest: Guest) -> None:
    with installed(
        guest, {"typed.service": "[Service]\nType=simple\nExecStart=/bin/sh -c 'exit 3'\n"}
    ):
        done = guest.run("ksmrun", "wrap", "unit", "--now", "typed", check=False)
        assert done.returncode == 1
        assert "typed" in done.stderr
        assert not (guest.root / "etc/systemd/system/typed.service.d").exists()


@pytest.mark.every_version
def test_memory_ksm_only_where_it_works(guest: Guest) -> None:
    """systemd 254 makes such a service fail, and 252 has no such setting."""
    with installed(guest, {"typed.service": f"[Service]\n{TYPES['simple']}"}):
        works = guest.version >= 256
        assert ("MemoryKSM=yes" in wrap(guest, "--now", "typed").splitlines()) is works
        assert merging(guest, "typed") == {True}
        done = guest.run("ksmrun", "wrap", "unit", "--method=memory-ksm", "typed", check=False)
        assert (done.returncode == 0) is works
        # Possible only with the launcher.
        wrap(guest, "--now", "--thp=off", "typed")
        assert "ExecStart=/usr/local/libexec/ksmrun/ksmrun-exec" in wrap(
            guest, "--print", "--thp=off", "typed"
        )
        assert merging(guest, "typed") == {True}


@pytest.mark.every_version
def test_instances_of_a_template(guest: Guest) -> None:
    text = f"[Service]\nType=exec\nExecStart={PYTHON} simple %i\n"
    with installed(guest, {"typed@.service": text}):
        guest.run("systemctl", "start", "typed@one", "typed@t\\x20wo")
        wrap(guest, "--now", "typed@")
        for instance, name in (("typed@one", "one"), ("typed@t\\x20wo", "t\\x20wo")):
            assert merging(guest, instance) == {True}
            assert command(guest, instance)[-1] == name
        wrap(guest, "--remove", "typed@")
        guest.run("systemctl", "restart", "typed@one")
        assert merging(guest, "typed@one") == {False}
        # Only of one instance.
        wrap(guest, "--now", "typed@one")
        guest.run("systemctl", "restart", "typed@t\\x20wo")
        assert merging(guest, "typed@one") == {True}
        assert merging(guest, "typed@t\\x20wo") == {False}
        wrap(guest, "--remove", "typed@one")


def test_resets_in_drop_ins(guest: Guest) -> None:
    """Only the commands in force are wrapped."""
    with installed(
        guest,
        {
            "typed.service": "[Service]\nExecStart=/bin/false\n",
            "typed.service.d/10-own.conf": "[Service]\nExecStart=\n"
            f"ExecStart={PYTHON} \\\n# a comment\n   simple\n",
        },
    ):
        wrap(guest, "--now", "typed")
        assert command(guest, "typed")[-1] == "simple"
        assert merging(guest, "typed") == {True}
        wrap(guest, "--remove", "typed")
        assert (guest.root / "etc/systemd/system/typed.service.d/10-own.conf").exists()


def test_a_child_merges_too(guest: Guest) -> None:
    script = "sleep 1000 & exec sleep 1001"
    with installed(guest, {"typed.service": f"[Service]\nExecStart=/bin/sh -c '{script}'\n"}):
        wrap(guest, "--now", "typed")
        wait_until(lambda: len(guest.pids("typed")) == 2, "two processes")
        assert all(merges(pid) for pid in guest.pids("typed"))


def test_a_helper_would_hide_the_main_process(guest: Guest) -> None:
    """With Type=forking and no PIDFile=, systemd takes the only process left in the cgroup."""
    text = "[Service]\nType=forking\nExecStart=/bin/sh -c '/bin/sleep 1000 &'\n"
    tree = ("--print", "--layout=shared", "--layout-scope=tree", "typed")
    with installed(guest, {"typed.service": text}):
        printed = wrap(guest, *tree)
        assert "Type=forking without PIDFile=" in printed
        (line,) = re.findall("^ExecStart=.*ksmrun-exec .*", printed, re.MULTILINE)
        assert "--layout=shared" in line and "--layout-scope=tree" not in line
        said = wrap(guest, "--require", *tree, check=False)
        assert "Type=forking without PIDFile=" in said and "ExecStart=" not in said
        assert "Type=forking without PIDFile=" not in wrap(guest, *tree[:2], "typed")
        put(guest, "typed.service.d/pid.conf", "[Service]\nPIDFile=/run/typed.pid\n")
        printed = wrap(guest, *tree)
        (line,) = re.findall("^ExecStart=.*ksmrun-exec .*", printed, re.MULTILINE)
        assert "--layout-scope=tree" in line
        assert "without PIDFile=" not in printed
