"""Shared layout in real containers, whose default profile denies the personality that it uses."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS

from ksmrun.facts.launcher import launcher_path

from .conftest import Programs
from .support.layouts import key, kinds, launch, parts, where

__all__ = ["key", "kinds", "launch"]

CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
"""


@pytest.fixture
def container(
    kinds: Programs, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    """Return a podman command up to its options; the root has a shell, the launcher, `where`."""
    root = tmp_path / "root"
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for name in ("sh", "ps", "sleep"):
        (root / "bin" / name).symlink_to("busybox")
    shutil.copy(launcher_path(), root / "ksmrun-exec")
    shutil.copy(kinds.where_static_pie, root / "bin/where")
    shutil.copy(key, root / "key")
    (root / "key").chmod(0o400)
    (tmp_path / "containers.conf").write_text(CONFIGURATION)
    monkeypatch.setenv("CONTAINERS_CONF", str(tmp_path / "containers.conf"))
    # podman allows 50 characters.
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        state = ["--root", f"{short}/state", "--runroot", f"{short}/run"]
        podman = ["podman", *state, "--storage-driver", "vfs"]
        yield [*podman, "run", "--rm", "--network", "none"]
        subprocess.run([*podman, "rm", "--all", "--force"], capture_output=True, check=False)


def command(tmp_path: Path, *words: str) -> list[str]:
    layout = ["--quiet", "--layout=shared", "--layout-key=/key", "--require"]
    return ["--rootfs", str(tmp_path / "root"), "/ksmrun-exec", *layout, "--", *words]


PROFILES = {
    "default": [],
    "hardened": ["--cap-drop=all", "--security-opt=no-new-privileges", "--read-only"],
    "unconfined": ["--security-opt=seccomp=unconfined"],
}


@pytest.mark.parametrize("profile", PROFILES)
def test_the_first_process(
    container: list[str], launch: list[str], tmp_path: Path, profile: str
) -> None:
    run = [*container, *PROFILES[profile], *command(tmp_path, "/bin/where")]
    first, second = where(*run), where(*run, "a", "b")
    assert parts(first) == parts(second)
    # Where nothing is denied it is the same as on the host.
    host = where(*launch, tmp_path / "root/bin/where")
    assert (parts(first) == parts(host)) is (profile == "unconfined")


def test_an_entrypoint(container: list[str], tmp_path: Path) -> None:
    """A script as PID 1, which ends as the program: no other process remains."""
    text = "/bin/where; sleep 0.1; exec sh -c 'ps; exec /bin/where'"
    done = subprocess.run(
        [*container, *command(tmp_path, "sh", "-c", text)],
        capture_output=True,
        text=True,
        check=True,
        timeout=LAST_RESORT_SECONDS,
    )
    first, rest = json.JSONDecoder().raw_decode(done.stdout)
    listing, _, last = done.stdout[rest:].partition('{"program"')
    assert parts(first) == parts(json.loads('{"program"' + last))
    assert listing.count("ksmrun-layout") == 1
    # Programs of busybox are not followed.
    alone = subprocess.run(
        [*container, *command(tmp_path, "ps")], capture_output=True, text=True, check=True
    )
    assert [line.split()[0] for line in alone.stdout.splitlines()] == ["PID", "1"]
