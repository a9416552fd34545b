"""Debian's kernels as files: fetched with apt by version, without the host's own apt."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
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
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Flavours of kernels: the last part of the package's name.
CLOUD_AMD64, CLOUD_ARM64, ARM64_16K = "cloud-amd64", "cloud-arm64", "arm64-16k"
IMAGE = re.compile(r"^linux-(?:image|binary)-(\d+(?:\.\d+)+)(?:\+\S*?|-\d+)?-(\S+)$", re.MULTILINE)


def cache_folder() -> Path:
    """Return a folder outside the repository that is kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "ksmrun-kernels"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fetch(version: str, flavour: str) -> tuple[str, Path]:
    """Return package name and vmlinuz of the newest kernel whose version begins so."""
    package = _newest(version, flavour)
    architecture = "amd64" if flavour == CLOUD_AMD64 else "arm64"
    vmlinuz = cache_folder() / f"vmlinuz-{package}"
    if not vmlinuz.exists():
        with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
            unpack(f"{package}:{architecture}", Path(folder))
            # In /boot, and from 7.2 on beside the modules.
            (found,) = Path(folder).rglob("vmlinuz*")
            found.replace(vmlinuz)
    return package, vmlinuz


def unpack(package: str, folder: Path) -> None:
    """Unpack a package's files into the folder, without installing it."""
    kept = cache_folder() / "debs" / f"{package}.deb"
    _names()
    with _lock():
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            _apt("get", "download", package, cwd=folder)
            (archive,) = folder.glob("*.deb")
            archive.replace(kept)
    subprocess.run(["dpkg-deb", "-x", kept, folder], check=True)


@contextmanager
def _lock() -> Iterator[None]:
    """Allow one download at a time, whoever runs these tests."""
    with (cache_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _newest(version: str, flavour: str) -> str:
    found = {m[0]: m[1] for m in IMAGE.finditer(_names()) if m[2] == flavour}
    fitting = [
        (tuple(map(int, number.split("."))), "binary" in name, name)
        for name, number in found.items()
        # 6.1 is not 6.12.
        if f"{number}.".startswith(f"{version}.")
    ]
    if not fitting:
        raise SystemExit(
            f"no Debian suite has a kernel {version} {flavour}; look at {cache_folder()}/names"
        )
    # If both exist, the image package only depends on the binary one.
    best = max(number for number, _, _ in fitting)
    return max((binary, name) for number, binary, name in fitting if number == best)[1]


def _names() -> str:
    with _lock():
        return _read_names(cache_folder())


def _read_names(folder: Path) -> str:
    names = folder / "packages"
    if not names.exists():
        (folder / "lists/partial").mkdir(parents=True, exist_ok=True)
        (folder / "archives/partial").mkdir(parents=True, exist_ok=True)
        mirror = _mirror()
        lines = [f"deb [arch=amd64,arm64 signed-by={KEYRING}] {mirror} {s} main\n" for s in SUITES]
        (folder / "sources.list").write_text("".join(lines))
        _apt("get", "update")
        names.write_text(_apt("cache", "pkgnames", "linux-"))
    return names.read_text()


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
    architectures = ("APT::Architectures::=amd64", "APT::Architectures::=arm64")
    words = [word for option in architectures for word in ("-o", option)]
    words += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    command = [f"apt-{tool}", *words, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode != 0:
        raise SystemExit(f"apt-{tool} {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
