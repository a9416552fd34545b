"""What a release consists of, and Debian roots without a compiler to install it in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from fresh_root import FreshRoot

from tests.systemd.roots import built, roots

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "native/package"


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
    """Return the folder of all artefacts, built twice and compared by build.py.

    With KSMRUN_RELEASE, those in that folder are tested, which were built before.
    """
    folder = tmp_path_factory.mktemp("release") / "dist"
    if given := os.environ.get("KSMRUN_RELEASE"):
        shutil.copytree(given, folder)
    else:
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
def root(request: pytest.FixtureRequest, release: Path, tmp_path: Path) -> Iterator[FreshRoot]:
    """Return Debian 12, 12 with backports, 13 and the next, without a compiler."""
    yield FreshRoot(built(roots(everything=False)[request.param]), tmp_path, release)
