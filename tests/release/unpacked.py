"""Artefacts unpacked to folders, each by the tool that its users have."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path

# Debian's name of each machine, and e_machine of its programs (elf.h).
MACHINES = {"x86_64": ("amd64", 62), "aarch64": ("arm64", 183)}
I386 = 3
# The shim for 32-bit programs, which the wheel of x86_64 has too.
I386_SHIM = "shim/i686/"


def artefacts(release: Path, machine: str) -> list[Path]:
    """Return the wheels and packages of a machine."""
    debian, _ = MACHINES[machine]
    found = [each for each in release.iterdir() if machine in each.name or debian in each.name]
    return sorted(each for each in found if each.is_file())


def unpack(artefact: Path, folder: Path) -> Path:
    """Unpack it into a new folder; return the folder."""
    folder.mkdir()
    command: list[str | Path]
    if artefact.suffix == ".whl":
        with zipfile.ZipFile(artefact) as wheel:
            for member in wheel.infolist():
                # extractall() forgets the modes, which pip keeps.
                place = wheel.extract(member, folder)
                if mode := member.external_attr >> 16 & 0o777:
                    Path(place).chmod(mode)
        return folder
    if artefact.suffix == ".deb":
        command = ["dpkg-deb", "--extract", artefact, folder]
    elif artefact.suffix == ".rpm":
        command = ["sh", "-c", 'rpm2cpio "$0" | cpio --quiet -idm -D "$1"', artefact, folder]
    elif artefact.suffix == ".apk":
        # Signature, control and data are three archives in one file.
        with tarfile.open(artefact, "r:gz", ignore_zeros=True) as file:
            file.extractall(folder, filter="fully_trusted")
        return folder
    else:
        command = ["tar", "-C", folder, "--auto-compress", "-xf", artefact]
    subprocess.run(command, check=True)
    return folder


def programs(folder: Path) -> dict[Path, int]:
    """Return e_machine of each ELF file below the folder, by its path."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as file:
            head = file.read(20)
        if head.startswith(b"\x7fELF"):
            found[path.relative_to(folder)] = int.from_bytes(head[18:20], "little")
    return found
