"""SHA256SUMS and its signature, checked as `ksmrun help install` says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import PACKAGE, make_key

sys.path.insert(0, str(PACKAGE))
from sums import sign, write_sums


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """Return a folder with a signed file, and the list of those who may sign."""
    key = make_key(tmp_path)
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "ksmrun.whl").write_bytes(b"wheel")
    sign(write_sums(folder), key)
    allow(key, folder)
    return folder


def allow(key: Path, folder: Path) -> None:
    """Write the list of those who may sign, as a maintainer publishes it."""
    public = key.with_suffix(".pub").read_text()
    line = f'maintainers@ksmrun.invalid namespaces="ksmrun-release" {public}'
    (folder / "allowed_signers").write_text(line)


def verified(folder: Path) -> bool:
    """Run the two lines of the help page."""
    script = (
        "ssh-keygen -Y verify -f allowed_signers -I maintainers@ksmrun.invalid -n ksmrun-release "
        "-s SHA256SUMS.sig <SHA256SUMS && sha256sum --check --quiet --ignore-missing SHA256SUMS"
    )
    done = subprocess.run(["sh", "-c", script], cwd=folder, stdin=subprocess.DEVNULL)
    return done.returncode == 0


def test_a_folder_as_it_was_signed(signed: Path) -> None:
    assert verified(signed)


def test_a_release_is_signed_with_the_key_that_the_environment_names(
    release: Path, sign_key: Path, tmp_path: Path
) -> None:
    for name in ("SHA256SUMS", "SHA256SUMS.sig"):
        shutil.copy(release / name, tmp_path)
    allow(sign_key, tmp_path)
    (sdist,) = release.glob("ksmrun-*.tar.gz")
    shutil.copy(sdist, tmp_path)
    assert verified(tmp_path)


@pytest.mark.parametrize("name", ["ksmrun.whl", "SHA256SUMS"])
def test_a_changed_file_is_refused(signed: Path, name: str) -> None:
    with (signed / name).open("ab") as file:
        file.write(b"x")
    assert not verified(signed)


def test_a_missing_signature_is_refused(signed: Path) -> None:
    (signed / "SHA256SUMS.sig").unlink()
    assert not verified(signed)


def test_another_key_and_another_use_are_refused(signed: Path, tmp_path: Path) -> None:
    sums = signed / "SHA256SUMS"
    (signed / "SHA256SUMS.sig").unlink()
    sign(sums, make_key(tmp_path, "other"))
    assert not verified(signed)
    (signed / "SHA256SUMS.sig").unlink()
    for_files = ("ssh-keygen", "-Y", "sign", "-q", "-n", "file", "-f")
    subprocess.run([*for_files, tmp_path / "key", sums], check=True)
    assert not verified(signed)
