"""Services whose names have dots and escapes: wrapped, checked, found and unwrapped by them."""

from __future__ import annotations

import json

import pytest
from waiting import LAST_RESORT_SECONDS

from .boot import Guest
from .look import merging
from .units import installed, wrap

SLEEP = "[Service]\nExecStart=/bin/sleep 1000\n"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("web8.2-fpm.service", "web8.2-fpm"),
        ("a\\x2db.service", "a\\x2db"),
        ("redis-6.0@.service", "redis-6.0@c\\x2dd.e"),
    ],
)
def test_a_name(guest: Guest, file: str, name: str) -> None:
    with installed(guest, {file: SLEEP}):
        guest.run("systemctl", "start", name)
        # Again, over the existing drop-in.
        for options in (("--thp=off",), ()):
            wrap(guest, "--now", "--method=wrapper", *options, name)
            assert merging(guest, name) == {True}
        assert "merging is on in all 1 processes" in wrap(guest, "--check", name)
        found = guest.run(
            "ksmrun", "estimate", "--json", "--unit", name, timeout=LAST_RESORT_SECONDS
        ).stdout
        assert json.loads(found)["schema"].startswith("ksmrun-estimate")
        wrap(guest, "--remove", "--now", name)
        assert merging(guest, name) == {False}
        done = guest.run("ksmrun", "attach", "--unit", name, check=False)
        assert "no process found" not in done.stderr
        assert merging(guest, name) == {True}
        guest.run("systemctl", "stop", name)


def test_all_instances_of_a_template(guest: Guest) -> None:
    template = "esc\\x2daped@"
    with installed(guest, {f"{template}.service": SLEEP}):
        for instance in ("1", "2.x"):
            guest.run("systemctl", "start", f"{template}{instance}")
        wrap(guest, "--now", "--method=wrapper", template)
        for instance in ("1", "2.x"):
            assert merging(guest, f"{template}{instance}") == {True}
        wrap(guest, "--remove", "--now", template)
        for instance in ("1", "2.x"):
            assert merging(guest, f"{template}{instance}") == {False}
        guest.run("ksmrun", "attach", "--unit", template)
        for instance in ("1", "2.x"):
            assert merging(guest, f"{template}{instance}") == {True}
            guest.run("systemctl", "stop", f"{template}{instance}")
