"""Debian's source of jemalloc with its tests built, without the host's own apt."""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITE = "bookworm"


def build(cache: Path) -> None:
    """Build it once; its test programs find their library by a relative path."""
    done = cache / "jemalloc"
    if not done.exists():
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            source = _unpack(_fetch(Path(folder)), Path(folder))
            _make(source)
            source.replace(done)


def _fetch(folder: Path) -> Path:
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "archives/partial").mkdir(parents=True)
    (folder / "sources.list").write_text(
        f"deb-src [signed-by={KEYRING}] {_mirror()} {SUITE} main\n"
    )
    options = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder,
        "APT::Sandbox::User": "root",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    for arguments in (["update", "-qq"], ["source", "-qq", "--download-only", "jemalloc"]):
        subprocess.run(["apt-get", *words, *arguments], check=True, cwd=folder)
    (archive,) = folder.glob("jemalloc_*.orig.tar.*")
    return archive


def _mirror() -> str:
    """Return the mirror that this host installs from."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return next(line for line in output.splitlines() if "security" not in line)


def _unpack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (source,) = folder.glob("jemalloc-*/")
    return source


def _make(source: Path) -> None:
    configure = ["./configure", "--enable-debug", "--disable-cxx", "--quiet"]
    for command in (configure, ["make", "-s", "-j2", "tests_unit", "tests_integration"]):
        subprocess.run(command, cwd=source, check=True, stdout=subprocess.DEVNULL)
