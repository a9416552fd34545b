"""What a release consists of, and Debian roots without a compiler to install it in."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.systemd.roots import built, roots

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "native/package"
# Reads words to run, in a copy of the root that is thrown away: root, scratch folder, command.
INSIDE = """
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/merged"
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/merged"
mkdir -p "$2/merged/release"
mount --bind "$3" "$2/merged/release"
mount -t proc proc "$2/merged/proc"
mount --rbind /sys "$2/merged/sys"
mount --rbind /dev "$2/merged/dev"
root=$2/merged
shift 3
exec chroot "$root" sh -euc "$@"
"""


@dataclass(frozen=True)
class Root:
    """A Debian root, and the folder that commands in it see as /release."""

    folder: Path
    scratch: Path
    release: Path

    def sh(self, script: str, *, check: bool = True) -> str:
        """Run a script in a fresh copy of the root, without network; return what it prints."""
        namespaces = ("unshare", "--mount", "--pid", "--fork", "--net", "--kill-child=KILL")
        places = (self.folder, self.scratch, self.release)
        command: list[str | Path] = [*namespaces, "sh", "-euc", INSIDE, "inside", *places, script]
        done = subprocess.run(
            command,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="session")
def tools() -> Path:
    """Return the folder of the programs that native/package/requirements.txt names."""
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ksmrun-tests/tools"
    wanted = (PACKAGE / "requirements.txt").read_text()
    kept = folder / "installed"
    if not kept.exists() or kept.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        pip = ("-m", "pip", "--disable-pip-version-check", "-qq", "install", "-r")
        subprocess.run([folder / "bin/python", *pip, PACKAGE / "requirements.txt"], check=True)
        kept.write_text(wanted)
    return folder / "bin"


@pytest.fixture(scope="session")
def release(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of all artefacts, built twice and compared by build.py."""
    folder = tmp_path_factory.mktemp("release") / "dist"
    subprocess.run([tools / "python", PACKAGE / "build.py", folder], check=True)
    # The root's Python has no pip; it runs the one that Python has for new environments.
    (pip,) = Path(sys.base_prefix).rglob("ensurepip/_bundled/pip-*.whl")
    (folder / "pip.whl").write_bytes(pip.read_bytes())
    (house,) = folder.glob("*wheelhouse*.tar.xz")
    with tarfile.open(house) as file:
        file.extractall(folder / "house", filter="data")
    return folder


def _versions() -> Sequence[int]:
    return sorted(roots(everything=False))


@pytest.fixture(params=_versions())
def root(request: pytest.FixtureRequest, release: Path, tmp_path: Path) -> Iterator[Root]:
    """Return Debian 12, 12 with backports, 13 and the next, without a compiler."""
    yield Root(built(roots(everything=False)[request.param]), tmp_path, release)
