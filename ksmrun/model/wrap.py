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
# For engines that give a runtime no options: its name says it.
OCI_BY_REQUEST = LIBEXEC / "ksmrun-oci-by-request"
# How the first line of each file begins that ksmrun writes beside a user's own.
HEADER_MARK = "# Written by `ksmrun "
# After all others in its folder: drop-ins are read in the order of their names (systemd.unit(5)).
DROP_IN = "zz-ksmrun.conf"


CONTAINERD_FILE = "/etc/containerd/config.toml"


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


@dataclass(frozen=True)
class ContainerKey:
    """The key that containers of a group get: it follows from the group's, which none gets to see.

    namespace: of Kubernetes; None: containers of the host. user: the host's number of who reads it.
    """

    group: str
    namespace: str | None = None
    user: int = 0

    @property
    def scope(self) -> str:
        """Return the words by which it follows from the group's (native/oci/tenant.c)."""
        if self.namespace is None:
            return "containers of the host"
        return f"containers of Kubernetes/{self.namespace}"

    @property
    def relative_path(self) -> Path:
        """Return its file below the folder of keys."""
        folder = Path("containers/host")
        if self.namespace is not None:
            folder = Path("containers/namespaces") / self.namespace
        return folder / f"{self.group}.{self.user}.key"

    @property
    def path(self) -> str:
        """Return its file on a host; /run, as it is new at each boot."""
        return f"/run/ksmrun/layout/{self.relative_path}"

    @property
    def command(self) -> str:
        """Return the command that makes it on a host."""
        words = f"sudo ksmrun layout key {self.group} --containers"
        if self.namespace is not None:
            words += f" --namespace {self.namespace}"
        return f"{words} --user {self.user}" if self.user else words
