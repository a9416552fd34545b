"""Containers of Podman's Quadlet, run by a real Podman under a booted systemd."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_until

from .boot import Guest
from .look import merging, tree
from .roots import BASE, Root, built

PODMAN = ("podman", "crun", "conmon", "netavark", "busybox-static")
# Calls of crun that systemd-nspawn forbids; without controllers of its own no limits can be set.
NSPAWN = ("--capability=CAP_BPF,CAP_NET_ADMIN", "--system-call-filter=bpf")
CONFIGURATION = {
    "etc/containers/containers.conf": "[containers]\nkeyring=false\npids_limit=0\n",
    "etc/containers/storage.conf": '[storage]\ndriver="vfs"\nrunroot="/run/containers/storage"\n'
    'graphroot="/var/lib/containers/storage"\n',
    "etc/containers/systemd/game.container": "[Container]\nImage=localhost/game\nNetwork=none\n"
    "StopSignal=SIGKILL\n",
    "image/Dockerfile": "FROM scratch\nCOPY busybox /bin/busybox\n"
    'ENTRYPOINT ["/bin/busybox", "sleep"]\nCMD ["1000000"]\n',
}
WRAP = ("ksmrun", "wrap", "quadlet")
SHOW_ENTRYPOINT = ("podman", "top", "systemd-game", "args")


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """Boot a guest with a running container."""
    folder = tmp_path_factory.mktemp("podman")
    guest = Guest(257, built(Root(257, "trixie", "trixie", BASE + PODMAN)), folder, NSPAWN)
    for name, text in CONFIGURATION.items():
        file = folder / "upper" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    shutil.copy("/bin/busybox", folder / "upper/image/busybox")
    guest.boot()
    guest.run("podman", "build", "-q", "--isolation=chroot", "-t", "localhost/game", "/image")
    guest.run("systemctl", "start", "game")
    guest.run("ksmrun", "wrap", "install")
    yield guest
    guest.kill()


def payload(guest: Guest) -> list[Path]:
    """Return /proc of the container's own processes, on the host."""
    folders = [Path("/proc", str(pid)) for pid in guest.pids("game.service")]
    return [each for each in folders if b"conmon" not in (each / "cmdline").read_bytes()]


def flags(guest: Guest) -> set[bool]:
    return {"ksm_merge_any: yes" in (each / "ksm_stat").read_text() for each in payload(guest)}


def stack(guest: Guest) -> str:
    """Return the stack's address in the container's process."""
    # The helper stays for the first moments of what could be a wrapper.
    wait_until(lambda: len(payload(guest)) == 1, "the container's process is alone")
    (game,) = payload(guest)
    lines = (game / "maps").read_text().splitlines()
    return next(line for line in lines if "[stack]" in line).split("-")[1].split()[0]


def restart(guest: Guest) -> None:
    """Restart it, however often it was started recently."""
    guest.run("systemctl", "reset-failed", "game", check=False)
    guest.run("systemctl", "restart", "game")


def test_wrapped_and_back(podman: Guest) -> None:
    before, arguments = tree(podman), podman.run(*SHOW_ENTRYPOINT).stdout
    shown = podman.run(*WRAP, "--print", "game").stdout
    assert "--runtime=/usr/local/libexec/ksmrun/ksmrun-oci" in shown
    assert tree(podman) == before
    assert flags(podman) == {False}
    assert podman.run(*WRAP, "--check", "game", check=False).returncode == 1

    podman.run(*WRAP, "--now", "game.container")
    assert flags(podman) == {True}
    assert podman.run(*SHOW_ENTRYPOINT).stdout == arguments
    entered = podman.run("podman", "exec", "systemd-game", "busybox", "cat", "/proc/self/ksm_stat")
    assert "ksm_merge_any: yes" in entered.stdout
    assert "game.container" in podman.run("ksmrun", "wrap", "list").stdout
    checked = podman.run(*WRAP, "--check", "game").stdout
    assert "merging is on in all" in checked
    kept = podman.run("ksmrun", "wrap", "install", "--remove", check=False)
    assert kept.returncode == 1
    assert "game.container" in kept.stderr
    assert podman.run("ksmrun", "wrap", "unit", "game", check=False).returncode == 1

    podman.run(*WRAP, "--remove", "--now", "game")
    assert flags(podman) == {False}
    assert tree(podman) == before


def test_one_layout(podman: Guest) -> None:
    before = tree(podman)
    podman.run(*WRAP, "--now", "--layout=shared", "--layout-group=games", "game")
    first = stack(podman)
    restart(podman)
    assert stack(podman) == first
    podman.run("ksmrun", "layout", "rotate", "games")
    restart(podman)
    assert stack(podman) != first
    podman.run(*WRAP, "--remove", "--now", "game")
    after = tree(podman)
    # The master key is every later launch's too, and so is the number of rotations.
    own = {"run/ksmrun/layout", "run/ksmrun/layout/units", "run/ksmrun/layout/master.key"}
    own |= {"run/ksmrun/layout/lock", "run/ksmrun/layout/generations.json", "run/ksmrun"}
    assert {name: after[name] for name in after if name not in own} == before


def test_taken_back_where_it_does_not_start(podman: Guest) -> None:
    before = tree(podman)
    runtime = podman.root / "usr/local/libexec/ksmrun/ksmrun-oci"
    whole = runtime.read_bytes()
    runtime.write_text('#!/bin/sh\ncase " $* " in *" create "*) exit 1 ;; esac\nexec crun "$@"\n')
    done = podman.run(*WRAP, "--now", "game", check=False)
    runtime.write_bytes(whole)
    assert done.returncode == 1
    assert "the change was taken back" in done.stderr
    assert tree(podman) == before
    assert flags(podman) == {False}
    assert merging(podman, "game.service") == {False}


def test_what_is_not_there(podman: Guest) -> None:
    done = podman.run(*WRAP, "nothing", check=False)
    assert done.returncode == 1
    assert "there is no nothing.service" in done.stderr
    done = podman.run(*WRAP, "--remove", "game", check=False)
    assert done.returncode == 1
