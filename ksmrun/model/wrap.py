"""What passes between the rooms where a service or container is wrapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

# Wraps name the launcher here: a place that outlives homes and virtual environments, and that every
# host has (FHS 3.0, 4.9: /usr/local is the administrator's).
LIBEXEC = Path("/usr/local/libexec/ksmrun")
LAUNCHER = LIBEXEC / "ksmrun-exec"
# In the place of the container runtime: it puts the launcher into the containers that ask.
OCI_RUNTIME = LIBEXEC / "ksmrun-oci"
# How the first line of each file begins that ksmrun writes beside a user's own.
HEADER_MARK = "# Written by `ksmrun "
# After all others in its folder: drop-ins are read in the order of their names (systemd.unit(5)).
DROP_IN = "zz-ksmrun.conf"


class Method(StrEnum):
    """What puts merging around a service: the launcher before its command, or systemd itself."""

    AUTO = "auto"
    WRAPPER = "wrapper"
    MEMORY_KSM = "memory-ksm"


@dataclass(frozen=True)
class ExecCommand:
    """One command of a unit as systemd understood it (D-Bus property ExecStartEx)."""

    path: str
    argv: tuple[str, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True)
class UnitFacts:
    """A service as systemd has it.

    files: what it is read from, in systemd's order, without the file that wraps it.
    template: the name before the instance, where the files of all instances are meant.
    """

    name: str
    template: bool
    files: tuple[Path, ...]
    properties: Mapping[str, str]
    commands: tuple[ExecCommand, ...]

    def value(self, name: str) -> str:
        """A property as `systemctl show` prints it; empty where this systemd has none."""
        return self.properties.get(name, "")


@dataclass(frozen=True)
class Wrap:
    """A file that starts something merged.

    ours: ksmrun wrote it. uses_launcher: it names LIBEXEC. remove: the command that takes it away;
    None for what a user wrote.
    """

    path: Path
    kind: str
    name: str
    ours: bool
    uses_launcher: bool
    remove: str | None = None
