"""Data that passes between the rooms when a service or container is wrapped."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from ksmrun.model.frozen import dataclass

# Wraps name the launcher here: a path that outlives homes and virtual environments and exists on
# every host (FHS 3.0, 4.9: /usr/local is the administrator's).
LIBEXEC = Path("/usr/local/libexec/ksmrun")
LAUNCHER = LIBEXEC / "ksmrun-exec"
# Stands in for the container runtime, and puts the launcher into the containers that ask for it.
OCI_RUNTIME = LIBEXEC / "ksmrun-oci"
# The same for engines that pass a runtime no options: its name selects the mode.
OCI_BY_REQUEST = LIBEXEC / "ksmrun-oci-by-request"
# First line of each file that ksmrun writes beside a user's own begins so.
HEADER_MARK = "# Written by `ksmrun "
# Sorts after all others in its folder: drop-ins are read in the order of their names
# (systemd.unit(5)).
DROP_IN = "zz-ksmrun.conf"


CONTAINERD_FILE = "/etc/containerd/config.toml"


class Method(StrEnum):
    """Mechanism of a service's merging: the launcher before its command, or systemd itself."""

    AUTO = "auto"
    WRAPPER = "wrapper"
    MEMORY_KSM = "memory-ksm"


@dataclass(frozen=True)
class ExecCommand:
    """Command of a unit as systemd parsed it (D-Bus property ExecStartEx)."""

    path: str
    argv: tuple[str, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True)
class UnitFacts:
    """Service as systemd reports it.

    files: those it is read from, in systemd's order, without the file that wraps it. template: the
    name before the instance, if the files of all instances are meant.
    """

    name: str
    template: bool
    files: tuple[Path, ...]
    properties: Mapping[str, str]
    commands: tuple[ExecCommand, ...]

    def value(self, name: str) -> str:
        """Return a property as `systemctl show` prints it; empty if this systemd has none."""
        return self.properties.get(name, "")


@dataclass(frozen=True)
class Wrap:
    """File that starts something merged.

    ours: ksmrun wrote it. uses_launcher: it names LIBEXEC. remove: command that removes it; None
    for what a user wrote.
    """

    path: Path
    kind: str
    name: str
    ours: bool
    uses_launcher: bool
    remove: str | None = None


@dataclass(frozen=True)
class ContainerKey:
    """Key that containers of a group get, derived from the group's key, which they never see.

    namespace: of Kubernetes; None: containers of the host. user: the reader's UID on the host.
    """

    group: str
    namespace: str | None = None
    user: int = 0

    @property
    def scope(self) -> str:
        """Scope from which the key is derived (native/oci/tenant.c)."""
        if self.namespace is None:
            return "containers of the host"
        return f"containers of Kubernetes/{self.namespace}"

    @property
    def relative_path(self) -> Path:
        """Path below the folder of keys."""
        folder = Path("containers/host")
        if self.namespace is not None:
            folder = Path("containers/namespaces") / self.namespace
        return folder / f"{self.group}.{self.user}.key"

    @property
    def path(self) -> str:
        """Path on a host; below /run, so that the key is new at each boot."""
        return f"/run/ksmrun/layout/{self.relative_path}"

    @property
    def command(self) -> str:
        """Command that makes the key on a host."""
        words = f"sudo ksmrun layout key {self.group} --containers"
        if self.namespace is not None:
            words += f" --namespace {self.namespace}"
        return f"{words} --user {self.user}" if self.user else words
