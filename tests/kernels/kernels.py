"""Debian's kernels as files: fetched with apt by version, without the host's own apt."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from debs import cache_folder, package_names, unpack

__all__ = ["cache_folder", "unpack"]

# Flavours of kernels: the last part of the package's name.
CLOUD_AMD64, CLOUD_ARM64, ARM64_16K = "cloud-amd64", "cloud-arm64", "arm64-16k"
IMAGE = re.compile(r"^linux-(?:image|binary)-(\d+(?:\.\d+)+)(?:\+\S*?|-\d+)?-(\S+)$", re.MULTILINE)


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


def _newest(version: str, flavour: str) -> str:
    found = {m[0]: m[1] for m in IMAGE.finditer(package_names()) if m[2] == flavour}
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
