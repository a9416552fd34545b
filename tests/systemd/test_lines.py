"""A program sees the same command line, environment and process state, wrapped or not."""

from __future__ import annotations

import difflib
import json
from random import Random

import pytest

from .boot import Guest
from .conftest import EVERYTHING, USER
from .lines import PATHS, SETTINGS, line
from .look import comparable
from .units import installed, put, wrap

LINES = 400 if EVERYTHING else 60
USERS = {
    "root": "",
    "user": f"User=user{USER}\nAmbientCapabilities=CAP_NET_BIND_SERVICE\nUMask=0027\n",
    "hardened": f"User=user{USER}\nNoNewPrivileges=yes\nSystemCallFilter=@system-service\n"
    "SystemCallErrorNumber=EPERM\n"
    "MemoryDenyWriteExecute=yes\nCapabilityBoundingSet=CAP_CHOWN CAP_KILL\nLimitNOFILE=300:400\n"
    "ProtectSystem=strict\nReadWritePaths=/shared\nPrivateDevices=yes\nRestrictAddressFamilies=AF_UNIX\nNice=3\n",
}


def results(guest: Guest, unit: str, pattern: str) -> dict[str, str]:
    """Run it once, and return what it wrote."""
    guest.run("systemctl", "start", "--", unit)
    found = {}
    for file in sorted(guest.shared.glob(pattern)):
        found[file.name] = file.read_text()
        file.unlink()
    guest.run("systemctl", "stop", "--", unit)
    return found


def assert_same(direct: dict[str, str], wrapped: dict[str, str]) -> None:
    assert wrapped.keys() == direct.keys()
    for name in direct:
        one, other = (
            json.dumps(comparable(text), indent=1).splitlines()
            for text in (direct[name], wrapped[name])
        )
        difference = "\n".join(difflib.unified_diff(one, other, n=0))
        assert not difference, f"{name}\n{difference}"
        assert json.loads(direct[name])["merge"] == 0
        assert json.loads(wrapped[name])["merge"] == 1


@pytest.mark.parametrize(
    ("unit", "user"),
    [
        pytest.param("sweep.service", "root", marks=pytest.mark.every_version),
        ("sweep.service", "hardened"),
        ("sweep@in-st\\x20ance.service", "user"),
    ],
)
def test_generated_lines(guest: Guest, unit: str, user: str) -> None:
    """Many commands of one oneshot, each with prefixes, quotes, specifiers and variables."""
    for path in PATHS.values():
        target = guest.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.hardlink_to(guest.root / "usr/local/bin/see")
    random = Random(f"{guest.version} {unit} {user}")
    # Each start of a sandboxed one costs its namespaces and filters.
    count = LINES // 3 if user == "hardened" else LINES
    values = [line(random, f"/shared/sweep-{i}.json") for i in range(count)]
    text = f"[Service]\nType=oneshot\nRemainAfterExit=yes\n{USERS[user]}{SETTINGS}"
    template = "sweep@.service" if "@" in unit else unit
    put(guest, template, text + "".join(f"ExecStart={value}\n" for value in values))
    guest.run("systemctl", "daemon-reload")
    direct = results(guest, unit, "sweep-*.json")
    missing = [value for i, value in enumerate(values) if f"sweep-{i}.json" not in direct]
    assert not missing, "the test's own mistake: these write nothing"
    guest.run("ksmrun", "wrap", "unit", "--method=wrapper", template)
    try:
        assert_same(direct, results(guest, unit, "sweep-*.json"))
    finally:
        guest.run("ksmrun", "wrap", "unit", "--remove", template)


# Commands outside of the generated pattern; those that cannot be wrapped are refused.
ODD = {
    "argv[0] of several words": "@/usr/local/bin/see $TWO /shared/odd.json",
    "argv[0] that vanishes": "@/usr/local/bin/see $UNSET x /shared/odd.json",
    "a name that is searched for": "see /shared/odd.json",
    "a command and another": "/usr/local/bin/see /shared/odd.json ; /bin/true $ONE ; :/bin/true",
    "an escaped semicolon": "/usr/local/bin/see /shared/odd.json \\; x ; /bin/true",
    "an option's look": "/usr/local/bin/see /shared/odd.json -- --merge=off --argv0=x --help",
    "a bell": r"/usr/local/bin/see /shared/odd.json \a\x07\007\e",
    "by the user's shell": "|/usr/local/bin/see /shared/odd.json $ONE 'b c' $$HOME",
    "bytes beyond ASCII": r"/usr/local/bin/see /shared/odd.json \xff\xc3\xa9 \377",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_lines(guest: Guest, name: str) -> None:
    if "|" in ODD[name] and guest.version < 258:
        return
    text = f"[Service]\nType=oneshot\n{SETTINGS}ExecStart={ODD[name]}\n"
    with installed(guest, {"odd.service": text}):
        direct = results(guest, "odd.service", "odd.json")
        done = guest.run("ksmrun", "wrap", "unit", "--method=wrapper", "odd", check=False)
        again = results(guest, "odd.service", "odd.json")
        if done.returncode:
            assert "odd.service: ExecStart= cannot be wrapped" in done.stderr or "bytes" in name
            assert "Traceback" not in done.stderr
            assert [comparable(t) for t in again.values()] == [
                comparable(t) for t in direct.values()
            ]
        else:
            assert_same(direct, again)
            wrap(guest, "--remove", "odd")
