"""Unit that a package changes after it was wrapped."""

from __future__ import annotations

from collections.abc import Callable

from .boot import Guest
from .look import merging, tree


def test_renewed(guests: Callable[[int], Guest]) -> None:
    guest = guests(252)
    file = guest.root / "etc/systemd/system/renewed.service"
    unit = "[Service]\nType=exec\nExecStart=/bin/sleep {}\n"
    wrap = ("ksmrun", "wrap", "unit", "--method=wrapper")
    file.write_text(unit.format("100000"))
    guest.run("systemctl", "daemon-reload")
    before = tree(guest)
    guest.run(*wrap, "--now", "renewed")
    file.write_text(unit.format("200000"))
    guest.run("systemctl", "daemon-reload")
    told = guest.run("ksmrun", "wrap", "unit", "--check", "renewed").stdout
    assert "its ExecStart= has changed since it was wrapped" in told
    guest.run(*wrap, "--now", "renewed")
    assert "changed" not in guest.run("ksmrun", "wrap", "unit", "--check", "renewed").stdout
    shown = guest.run("systemctl", "show", "--property=ExecStart", "renewed").stdout
    assert "-- /bin/sleep 200000" in shown
    assert merging(guest, "renewed.service") == {True}
    # A service that does not start keeps the drop-in that it had.
    file.write_text(unit.replace("sleep", "nothing").format("1"))
    guest.run("systemctl", "daemon-reload")
    text = (guest.root / "etc/systemd/system/renewed.service.d/zz-ksmrun.conf").read_text()
    done = guest.run(*wrap, "--now", "renewed", check=False)
    assert done.returncode == 1
    assert "the change was taken back" in done.stderr
    drop_in = guest.root / "etc/systemd/system/renewed.service.d/zz-ksmrun.conf"
    assert drop_in.read_text() == text
    assert merging(guest, "renewed.service") == {True}
    guest.run("ksmrun", "wrap", "unit", "--remove", "renewed")
    guest.run("systemctl", "stop", "renewed")
    file.write_text(unit.format("100000"))
    assert tree(guest) == before
    file.unlink()
    guest.run("systemctl", "daemon-reload")
