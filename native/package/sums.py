"""SHA256SUMS of a release, and its signature with an SSH key."""

from __future__ import annotations

import hashlib
from pathlib import Path

from commands import run

SUMS = "SHA256SUMS"
# Signed for this use alone: a signature made for another cannot be passed off as ours.
NAMESPACE = "ksmrun-release"


def sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 sum of each file by its name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


def write_sums(folder: Path) -> Path:
    """Write them as sha256sum reads them."""
    lines = [f"{digest}  {name}\n" for name, digest in sums(folder).items()]
    file = folder / SUMS
    file.write_text("".join(lines))
    return file


def sign(file: Path, key: Path) -> None:
    """Sign a file with a private key, or with a public one whose private one the agent has."""
    run("ssh-keygen", "-Y", "sign", "-q", "-n", NAMESPACE, "-f", key, file, folder=file.parent)
