"""What a release consists of, and Debian roots without a compiler to install it in."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from compiled import cache_folder
from fresh_root import FreshRoot

from tests.systemd.roots import built, roots

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "native/package"


@pytest.fixture(scope="session")
def tools() -> Path:
    """Return the folder of the programs that native/package/requirements.txt names."""
    requirements = PACKAGE / "requirements.txt"
    name = f"tools-{hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]}"
    folder = cache_folder() / name
    kept = folder / "installed"
    if not kept.exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = ("-m", "pip", "--disable-pip-version-check", "-qq", "install", "--require-hashes")
        command: list[str | Path] = [folder / "bin/python", *pip, "--requirement", requirements]
        subprocess.run(command, check=True)
        kept.touch()
    return folder / "bin"


def make_key(folder: Path, name: str = "key") -> Path:
    """Make an SSH key without a passphrase."""
    key = folder / name
    command: list[str | Path] = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key]
    subprocess.run(command, check=True)
    return key


@pytest.fixture(scope="session")
def sign_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the key that the release is signed with."""
    return make_key(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def release(tools: Path, sign_key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of all artefacts, built twice and compared by build.py.

    KSMRUN_RELEASE names a folder that it has built before.
    """
    folder = tmp_path_factory.mktemp("release") / "dist"
    environment = {**os.environ, "KSMRUN_SIGN_KEY": str(sign_key)}
    build: list[str | Path] = [tools / "python", PACKAGE / "build.py", folder]
    if built_before := os.environ.get("KSMRUN_RELEASE"):
        shutil.copytree(built_before, folder)
        (folder / "SHA256SUMS.sig").unlink(missing_ok=True)
        build = ["ssh-keygen", "-Y", "sign", "-q", "-n", "ksmrun-release", "-f", sign_key]
        build.append(folder / "SHA256SUMS")
    subprocess.run(build, env=environment, check=True)
    # The root's Python has no pip; it runs the one that Python has for new environments.
    (pip,) = Path(sys.base_prefix).rglob("ensurepip/_bundled/pip-*.whl")
    (folder / "pip.whl").write_bytes(pip.read_bytes())
    (house,) = folder.glob(f"*wheelhouse-{platform.machine()}.tar.xz")
    with tarfile.open(house) as file:
        file.extractall(folder / "house", filter="data")
    return folder


def _versions() -> Sequence[int]:
    return sorted(roots(everything=False))


@pytest.fixture(params=_versions())
def root(request: pytest.FixtureRequest, release: Path, tmp_path: Path) -> Iterator[FreshRoot]:
    """Return Debian 12, 12 with backports, 13 and the next, without a compiler."""
    yield FreshRoot(built(roots(everything=False)[request.param]), tmp_path, release)
