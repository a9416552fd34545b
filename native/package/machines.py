"""Machines that are built for, and a compiler with Debian's musl and libcap for each.

All come as packages of this host's Debian, which are unpacked, not installed: a machine can be
compiled for that is not this one, and the two builds of a release are of the same files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from commands import output, run

PACKAGES = ("musl", "musl-dev", "libcap-dev")
WRAPPER = """#!/bin/sh
exec {compiler} "$@" {flags} -specs {specs}
"""


@dataclass(frozen=True)
class Machine:
    """Name as uname and wheels have it, Debian's name, and flags of its compiler."""

    name: str
    debian: str
    flags: str = ""

    @property
    def compiler(self) -> str:
        return f"{self.name}-linux-gnu-gcc"

    @property
    def tags(self) -> str:
        """Return the oldest platforms that PEP 600 and 656 know: no file needs a library."""
        return f"manylinux_2_17_{self.name}.manylinux2014_{self.name}.musllinux_1_1_{self.name}"


MACHINES = (
    Machine("x86_64", "amd64"),
    # The external ones are functions of libgcc, which ask glibc for the processor's features.
    Machine("aarch64", "arm64", "-mno-outline-atomics"),
)


@dataclass(frozen=True)
class Toolchain:
    """Unpacked packages of one machine, and their versions by name."""

    machine: Machine
    folder: Path
    versions: dict[str, str]

    def notice(self, package: str) -> str:
        """Return the copyright notice and licence of a package."""
        return (self.folder / f"usr/share/doc/{package}/copyright").read_text()

    @property
    def libcap(self) -> Path:
        return self.folder / f"usr/lib/{self.machine.name}-linux-gnu/libcap.a"

    @property
    def musl_compiler(self) -> Path:
        """Return a compiler like Debian's musl-gcc, which native/CMakeLists.txt knows by name."""
        path = self.folder / f"{self.machine.name}-linux-musl-gcc"
        if not path.exists():
            (specs,) = self.folder.glob("usr/lib/*-linux-musl/musl-gcc.specs")
            specs.write_text(specs.read_text().replace("/usr/", f"{self.folder}/usr/"))
            compiler, flags = self.machine.compiler, self.machine.flags
            path.write_text(WRAPPER.format(compiler=compiler, flags=flags, specs=specs))
            path.chmod(0o755)
        return path


def download(machine: Machine, folder: Path) -> None:
    """Download its packages with this host's sources, but beside this host's apt."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / "apt" / name).mkdir(parents=True)
    options = {
        "APT::Architecture": machine.debian,
        "APT::Architectures": machine.debian,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Dir::State::lists": folder / "apt/lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": folder / "apt/cache",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    run(*apt, "update", folder=folder)
    run(*apt, "download", *PACKAGES, folder=folder)


def unpack(machine: Machine, downloaded: Path, folder: Path) -> Toolchain:
    """Unpack downloaded packages."""
    versions = {}
    for archive in sorted(downloaded.glob("*.deb")):
        run("dpkg-deb", "-x", archive, folder, folder=downloaded)
        fields = output("dpkg-deb", "-f", archive, "Package", "Version", folder=downloaded)
        name, version = re.findall(r"^\w+: (\S+)$", fields, re.M)
        versions[name] = version
    return Toolchain(machine, folder, versions)
