"""Packages of all of Debian's suites as files: fetched with apt, without the host's own apt."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SUITES = (
    "bullseye",
    "bookworm",
    "bookworm-backports",
    "trixie",
    "trixie-backports",
    "forky",
    "sid",
)
# Index files are large; of i386 one suite is enough.
SUITE_WITH_I386 = "bookworm"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def site() -> str:
    """Return the mirror that this host's own packages come from."""
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    question = ["apt-get", "indextargets", "--format=$(SITE)", "Created-By: Packages"]
    answer = subprocess.run(
        [*question, f"Codename: {codename}"], capture_output=True, text=True, check=True
    )
    return answer.stdout.split()[0]


def cache_folder() -> Path:
    """Return a folder outside the repository that is kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "ksmrun-kernels"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def unpack(package: str, folder: Path) -> None:
    """Unpack a package's files into the folder, without installing it."""
    kept = cache_folder() / "debs" / f"{package}.deb"
    package_names()
    with _lock():
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            _apt("get", "download", package, cwd=folder)
            (archive,) = folder.glob("*.deb")
            archive.replace(kept)
    subprocess.run(["dpkg-deb", "-x", kept, folder], check=True)


def unpack_version(package: str, version: str, folder: Path) -> str:
    """Unpack the newest version of a package that begins so, of any suite, and return it."""
    rows = _versions(package)
    found = [number for _, number, _ in rows if number.startswith(f"{version}.")]
    if not found:
        raise SystemExit(f"no Debian suite has {package} {version}; look at {cache_folder()}/lists")
    unpack(f"{package}={found[0]}", folder)
    return found[0]


def unpack_from(suite: str, packages: Sequence[str], folder: Path) -> None:
    """Unpack packages of one suite into the folder."""
    folder.mkdir(exist_ok=True)
    for package, version, place in _versions(*packages):
        if f" {suite}/" in place:
            unpack(f"{package}={version}", folder)


def _versions(*packages: str) -> list[tuple[str, ...]]:
    """Return package, version and suite of each of their versions.

    Kept, because apt takes six seconds of CPU to read the lists of all suites.
    """
    package_names()
    name = hashlib.sha256("\0".join(packages).encode()).hexdigest()[:32]
    kept = cache_folder() / "versions" / name
    with _lock():
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            text = _apt("cache", "madison", *packages)
            kept.with_suffix(".new").write_text(text)
            kept.with_suffix(".new").replace(kept)
    lines = kept.read_text().splitlines()
    return [tuple(word.strip() for word in line.split("|")) for line in lines]


@contextmanager
def _lock() -> Iterator[None]:
    """Allow one download at a time, whoever runs these tests."""
    with (cache_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def package_names() -> str:
    with _lock():
        return _read_names(cache_folder())


def _read_names(folder: Path) -> str:
    names, sources, wanted = folder / "packages", folder / "sources.list", _sources()
    if not names.exists() or sources.read_text() != wanted:
        (folder / "lists/partial").mkdir(parents=True, exist_ok=True)
        (folder / "archives/partial").mkdir(parents=True, exist_ok=True)
        names.unlink(missing_ok=True)
        sources.write_text(wanted)
        _apt("get", "update")
        shutil.rmtree(folder / "versions", ignore_errors=True)
        names.write_text(_apt("cache", "pkgnames", "linux-"))
    return names.read_text()


def _sources() -> str:
    mirror, lines = _mirror(), []
    for suite in SUITES:
        machines = "amd64,arm64" + ",i386" * (suite == SUITE_WITH_I386)
        lines.append(f"deb [arch={machines} signed-by={KEYRING}] {mirror} {suite} main\n")
    return "".join(lines)


def _mirror() -> str:
    """Return the mirror that this host installs from."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return next(line for line in output.splitlines() if "security" not in line)


def _apt(tool: str, *arguments: str, cwd: Path | None = None) -> str:
    folder = cache_folder()
    options = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder,
        "APT::Sandbox::User": "root",
    }
    machines = ("amd64", "arm64", "i386")
    words = [word for each in machines for word in ("-o", f"APT::Architectures::={each}")]
    words += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    command = [f"apt-{tool}", *words, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode != 0:
        raise SystemExit(f"apt-{tool} {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
