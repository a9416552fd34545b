"""Launcher at the path that wraps name: installed, updated, kept while in use, removed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS

from ksmrun.facts.launcher import launcher_path
from ksmrun.model.wrap import HEADER_MARK, LAUNCHER, LIBEXEC

InPrivate = Callable[[str], subprocess.CompletedProcess[str]]
# Its own /usr/local/libexec and /etc, over the host's.
PRIVATE = """
mount -t tmpfs -o mode=755 none /usr/local/libexec && mount -t tmpfs -o mode=755 none /run &&
mkdir -p /run/upper /run/work &&
mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work none /etc || exit 99
"""


@pytest.fixture
def private(ksmrun: str, tmp_path: Path) -> Iterator[InPrivate]:
    """Run a script in a mount namespace; $K is ksmrun."""
    made = not LIBEXEC.parent.exists()
    LIBEXEC.parent.mkdir(exist_ok=True)

    def run(script: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["unshare", "--mount", "--propagation=private", "sh", "-c", PRIVATE + script],
            env={**os.environ, "K": ksmrun, "KSMRUN_STATE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=LAST_RESORT_SECONDS,
            check=False,
        )
        assert done.returncode != 99, done.stderr
        return done

    yield run
    if made:
        LIBEXEC.parent.rmdir()


def test_install_and_remove(private: InPrivate) -> None:
    done = private(
        "umask 077; $K wrap install && $K wrap install | grep -c already;"
        f"{LAUNCHER} -- echo works;"
        f"find {LIBEXEC} -not -type l -printf '%m %U %P\\n';"
        f"$K wrap install --remove; ls -A {LIBEXEC.parent}"
    )
    files = [file for file in launcher_path().parent.rglob("*") if file.is_file()]
    lines = done.stdout.splitlines()
    assert str(len(files)) in lines
    assert "works" in lines
    modes = {line for line in lines if line[:2] == "75"}
    assert {line.split()[0] for line in modes} == {"755"}
    assert {line.split()[1] for line in modes} == {"0"}
    assert sum(line.endswith("-preload.so") for line in modes) == len(files) - sum(
        not file.name.endswith(".so") for file in files
    )
    assert lines[-1] == f"{LIBEXEC} deleted"
    assert done.returncode == 0


def test_removed_by_one_at_a_time(private: InPrivate) -> None:
    done = private(
        f"$K wrap install >/dev/null; flock {LIBEXEC}/.lock $K wrap install --remove; echo $?;"
        f"ls {LAUNCHER}; rm -f {LIBEXEC}/.lock; $K wrap install --remove"
    )
    assert done.stdout.splitlines() == ["1", str(LAUNCHER), f"{LIBEXEC} deleted"]
    assert f"another ksmrun is writing to {LIBEXEC}; wait until" in done.stderr


def test_kept_while_something_uses_it(private: InPrivate) -> None:
    done = private(
        "$K wrap install >/dev/null; mkdir -p /etc/systemd/system;"
        f"echo 'ExecStart={LAUNCHER} -- /bin/a' >/etc/systemd/system/ksmrun-test.service;"
        f"$K wrap install --remove; echo $?; $K wrap list; ls {LAUNCHER};"
        f"rm -r {LIBEXEC}; $K wrap list; echo $?"
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "1"
    assert "ksmrun-test.service" in done.stderr
    assert "ksmrun wrap list" in done.stderr
    assert "by hand" in done.stdout
    assert f"{LAUNCHER} is missing" in lines[-2]
    assert lines[-1] == "1"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (f"chmod 777 {LIBEXEC.parent}", "by users other than root"),
        (f"chown 1 {LIBEXEC.parent}", "by users other than root"),
        (f"touch {LIBEXEC.parent}/pyvenv.cfg", "virtual environment"),
        (f"mkdir -m 755 /run/user; ln -s /run/user {LIBEXEC}", "in a home"),
    ],
)
def test_places_where_others_could_change_it(private: InPrivate, spoil: str, said: str) -> None:
    done = private(f"{spoil}; $K wrap install; echo $?; ls -A {LIBEXEC}/")
    assert said in done.stderr
    assert done.stdout == "1\n"


def test_killed_at_every_rename(private: InPrivate) -> None:
    """The installed launcher is complete: the old one, or the new one."""
    files = sum(file.is_file() for file in launcher_path().parent.rglob("*"))
    for number in range(1, files + 1):
        done = private(
            f"mkdir {LIBEXEC}; printf '#!/bin/sh\\necho old' >{LAUNCHER}; chmod 755 {LAUNCHER};"
            f"strace -f -o /dev/null -e trace=/^rename "
            f"-e inject=/^rename:signal=KILL:when={number} $K wrap install >/dev/null; echo $?;"
            f"{LAUNCHER} -- echo new;"
            f"$K wrap install >/dev/null; {LAUNCHER} -- echo new; find {LIBEXEC} -name '*.new'"
        )
        code, between, after = done.stdout.splitlines()
        assert code == str(128 + signal.SIGKILL)
        assert between in ("old", "new")
        assert after == "new"


def test_without_root(private: InPrivate, nobody: tuple[str, ...]) -> None:
    done = private(f"{' '.join(nobody)} $K wrap install; echo $?")
    assert done.stdout == "1\n"
    assert "run this as root" in done.stderr


def test_a_host_without_systemd(ksmrun: str) -> None:
    for arguments in (["nginx"], ["--check", "nginx"], ["--remove", "nginx"], ["--user", "a"]):
        done = subprocess.run(
            [ksmrun, "wrap", "unit", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "; " in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["a.socket", "a.container", "a/b", "-a.service"])
def test_what_is_no_service(ksmrun: str, name: str) -> None:
    done = subprocess.run(
        [ksmrun, "wrap", "unit", "--", name], capture_output=True, text=True, check=False
    )
    assert done.returncode == (1 if name == "a.container" else 2)
    assert HEADER_MARK not in done.stdout
