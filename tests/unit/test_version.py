"""The commit that `ksmrun --version` names, of a release and of a checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ksmrun import __version__
from ksmrun.commands import version

ROOT = next(each for each in Path(__file__).parents if (each / "pyproject.toml").is_file())
WRITER = ROOT / "native/commit.cmake"
# Nothing of the user's, so that no hook and no signature is asked for.
GIT = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{
        f"GIT_{who}_{what}": "a@b.invalid"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
}


def git(folder: Path, *words: str) -> str:
    command: tuple[str | Path, ...] = ("git", "-C", folder, *words)
    return subprocess.run(command, env=GIT, capture_output=True, text=True, check=True).stdout


def written(sources: Path, target: Path) -> str | None:
    """Return the commit as the build writes it, and as the command reads it."""
    command = ("cmake", f"-DSOURCES={sources}", f"-DTARGET={target}", "-P", WRITER)
    subprocess.run(command, check=True)
    return version.built_from(target)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "check out"
    (folder / "native").mkdir(parents=True)
    shutil.copy(ROOT / "native/commit.txt", folder / "native")
    shutil.copy(ROOT / ".gitattributes", folder)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=first")
    return folder


def test_of_a_checkout_and_of_a_release(checkout: Path, tmp_path: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")[:12]
    target = tmp_path / "commit"
    assert written(checkout, target) == commit
    release = tmp_path / "release"
    release.mkdir()
    git(checkout, "archive", "--output", str(tmp_path / "archive.tar"), "HEAD")
    subprocess.run(["tar", "-C", release, "-xf", tmp_path / "archive.tar"], check=True)
    assert written(release, target) == commit
    (checkout / ".gitattributes").write_text("changed")
    assert written(checkout, target) == f"{commit}-dirty"


def test_another_projects_checkout_is_not_asked(checkout: Path, tmp_path: Path) -> None:
    inside = checkout / "unpacked"
    (inside / "native").mkdir(parents=True)
    shutil.copy(ROOT / "native/commit.txt", inside / "native")
    assert written(inside, tmp_path / "commit") is None


@pytest.mark.parametrize(
    "content", ["", "$Format:%H$", "v0.1.0", "a" * 11, "a" * 63 + "\n", "\xff"]
)
def test_what_is_no_commit(content: str, tmp_path: Path) -> None:
    file = tmp_path / "commit"
    file.write_text(content, encoding="latin-1")
    assert version.built_from(file) is None
    assert version.built_from(tmp_path / "missing") is None


def test_the_first_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "commit"
    monkeypatch.setattr(version, "COMMIT", file)
    assert version.version_text().splitlines()[0] == f"ksmrun {__version__}"
    file.write_text("0123456789ab\n")
    first = version.version_text().splitlines()[0]
    assert first == f"ksmrun {__version__} (commit 0123456789ab)"
