"""Survival of a boot, a lost launcher, and being killed at any moment."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_until

from .boot import Guest
from .conftest import EVERYTHING, ROOTS, USUAL, prepare
from .look import merging, tree
from .roots import built
from .test_layout import PLACES, UNIT, where
from .test_types import DAEMON, PYTHON
from .units import installed, put, show, wrap

__all__ = ["where"]

KILLS = 60 if EVERYTHING else 4


@pytest.fixture(params=USUAL, ids=[f"systemd{version}" for version in USUAL])
def own(request: pytest.FixtureRequest, tmp_path: Path, see: Path) -> Iterator[Guest]:
    """Boot a guest of the test's own."""
    guest = Guest(request.param, built(ROOTS[request.param]), tmp_path)
    prepare(guest, see)
    yield guest
    guest.kill()


def places(guest: Guest, instance: str) -> tuple[int, ...]:
    found = json.loads((guest.shared / f"where-{instance}.json").read_text())
    return tuple(found[place] for place in PLACES)


def test_a_boot(own: Guest, where: Path) -> None:
    """The key is made before the first service that needs it; a new boot has a new one."""
    shutil.copy(DAEMON, own.shared)
    (own.root / "srv").mkdir(exist_ok=True)
    shutil.copy(where, own.root / "srv/where")
    install = "[Install]\nWantedBy=multi-user.target\n"
    put(own, "placed@.service", f"{UNIT}RemainAfterExit=yes\n{install}")
    put(
        own,
        "typed.service",
        f"[Service]\nType=notify\nWatchdogSec=9\nExecStart={PYTHON} notify\n{install}",
    )
    own.run("systemctl", "daemon-reload")
    own.run("systemctl", "enable", "--now", "placed@a", "placed@b", "typed")
    wrap(own, "--layout=shared", "placed@")
    wrap(own, "typed")
    own.run("systemctl", "restart", "placed@a", "placed@b")
    before = places(own, "a")
    assert places(own, "b") == before
    own.stop()
    for file in own.shared.glob("where-*"):
        file.unlink()
    own.boot()
    assert places(own, "a") == places(own, "b") != before
    assert merging(own, "typed") == {True}
    assert "merging is on in all 1" in wrap(own, "--check", "typed")


def test_a_launcher_that_is_lost(own: Guest) -> None:
    shutil.copy(DAEMON, own.shared)
    with installed(own, {"typed.service": f"[Service]\nExecStart={PYTHON} simple\n"}):
        wrap(own, "--now", "--method=wrapper", "typed")
        done = own.run("ksmrun", "wrap", "install", "--remove", check=False)
        assert done.returncode != 0
        assert "typed.service.d" in done.stderr
        shutil.rmtree(own.root / "usr/local/libexec/ksmrun")
        for words in (("list",), ("unit", "--check", "typed")):
            done = own.run("ksmrun", "wrap", *words, check=False)
            assert "/usr/local/libexec/ksmrun/ksmrun-exec is missing" in done.stdout + done.stderr
            assert "ksmrun wrap install" in done.stdout + done.stderr
        assert own.run("ksmrun", "wrap", "list", check=False).returncode == 1
        own.run("ksmrun", "wrap", "install")
        own.run("systemctl", "restart", "typed")
        assert merging(own, "typed") == {True}
        wrap(own, "--remove", "--now", "typed")
        own.run("ksmrun", "wrap", "install", "--remove")
        assert not (own.root / "usr/local/libexec").exists()


@pytest.mark.parametrize(
    "arguments", [("--now",), ("--now", "--layout=shared"), ("--remove", "--now")]
)
def test_killed_at_any_moment(own: Guest, arguments: tuple[str, ...]) -> None:
    """The service starts afterwards, and everything can be removed."""
    shutil.copy(DAEMON, own.shared)
    text = f"[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart={PYTHON} simple\n"
    with installed(own, {"typed.service": text}):
        before = tree(own)
        # How long it takes normally.
        wrap(own, "--layout=shared", "typed")
        started = time.monotonic()
        wrap(own, *arguments, "typed")
        seconds = time.monotonic() - started
        moments = random.Random(1)
        for _ in range(KILLS):
            if "--remove" in arguments:
                wrap(own, "typed")
            # SIGKILL to the one process, as from the kernel's OOM killer.
            wait = f"{moments.random() * seconds:.3f}"
            words = (
                "timeout",
                "--signal=KILL",
                wait,
                "ksmrun",
                "wrap",
                "unit",
                *arguments,
                "typed",
            )
            own.run(*words, check=False)
            own.run("systemctl", "daemon-reload")
            own.run("systemctl", "restart", "typed")
            assert show(own, "typed", "ActiveState") == "active"
        wrap(own, "--layout=shared", "--now", "typed")
        assert merging(own, "typed") == {True}
        wrap(own, "--remove", "--now", "typed")
        wait_until(lambda: merging(own, "typed") == {False}, "it runs as before")
        after = tree(own)
        assert {name for name in after if name not in before} <= {"run/ksmrun"} | {
            name for name in after if name.startswith("run/ksmrun/layout")
        }
        assert {name: after.get(name) for name in before} == before
