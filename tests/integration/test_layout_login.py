"""A user's layout outlives his login, whose end removes the runtime folder and the key in it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS

from .conftest import Programs
from .support.layouts import kinds, parts

__all__ = ["kinds"]

# keyctl(2): KEYCTL_CLEAR of KEY_SPEC_USER_KEYRING.
FORGET = "import ctypes; ctypes.CDLL(None).syscall(250, 7, -4)"
LOGIN = "mkdir -p -m 700 /run/user/65534; chown 65534 /run/user/65534"
LOGOUT = "rm -r /run/user/65534"


@pytest.fixture
def user(nobody: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    forget = (*nobody, "/usr/bin/python3", "-c", FORGET)
    subprocess.run(forget, check=True)
    yield (*nobody, "env", "XDG_RUNTIME_DIR=/run/user/65534", "KSMRUN_LAYOUT_DIR=")
    subprocess.run(forget, check=True)


def logins(*lines: str) -> subprocess.CompletedProcess[str]:
    """Run in a mount namespace without anybody's runtime folder."""
    return subprocess.run(
        ["unshare", "-m", "sh", "-ec", "\n".join(("mount -t tmpfs none /run/user", *lines))],
        capture_output=True,
        text=True,
        check=False,
        timeout=LAST_RESORT_SECONDS,
        cwd="/",
        env={name: os.environ[name] for name in ("PATH",)},
    )


def places(done: subprocess.CompletedProcess[str]) -> list[tuple[int, ...]]:
    assert done.returncode == 0, done
    texts = done.stdout.replace("}\n{", "}\0{").split("\0")
    return [parts(json.loads(text)) for text in texts]


def test_it_is_kept(ksmrun: str, kinds: Programs, user: tuple[str, ...]) -> None:
    launch = shlex.join([*user, ksmrun, "run", "--layout=shared", "--", kinds.where])
    rotate = shlex.join([*user, ksmrun, "layout", "rotate"])
    again = (LOGIN, launch, LOGOUT)
    done = logins(*again, *again, *again[:2], f"{rotate} default >&2", *again[1:], *again)
    first, second, third, rotated, last = places(done)
    assert first == second == third != rotated == last
    assert "last session" not in done.stderr
    done = logins(*again, *again[:1], f"{rotate} >&2", *again[1:], *again)
    before, after, last = places(done)
    assert before == rotated != after == last


def test_it_is_announced_where_it_cannot_be_kept(
    ksmrun: str, kinds: Programs, user: tuple[str, ...], programs: Programs
) -> None:
    """As under the seccomp profiles of containers."""
    line = [*user, programs.deny, "1:248", ksmrun, "run", "--layout=shared", "--", kinds.where]
    done = logins(LOGIN, shlex.join(line))
    assert len(places(done)) == 1 and "last session ends" in done.stderr
    assert not Path("/run/user/65534/ksmrun").exists()
