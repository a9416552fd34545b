"""Data that passes between the rooms when a service or container is wrapped."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from ksmrun.model.frozen import dataclass
from ksmrun.model.package import package_file

# Wraps name the launcher in one of two folders, which outlive homes and virtual environments:
# `wrap install` copies it to the first (FHS 3.0, 4.9: /usr/local is the administrator's), packages
# own the second. A package's Python part has a link to its launcher, so that it names its own, and
# an installation by pip never depends on a package of another version.
LOCAL, PACKAGED = Path("/usr/local/libexec/ksmrun"), Path("/usr/libexec/ksmrun")
OWN = package_file("libexec")
LIBEXEC = PACKAGED if OWN.resolve() == PACKAGED else LOCAL
LAUNCHER = LIBEXEC / "ksmrun-exec"
INSTALL_LAUNCHER = (
    "sudo ksmrun wrap install" if LIBEXEC == LOCAL else "sudo apt install --reinstall ksmrun-exec"
)
# What wraps may name, whoever wrote them.
LAUNCHERS = (str(LOCAL / "ksmrun-exec"), str(PACKAGED / "ksmrun-exec"))
OCI_RUNTIMES = (str(LOCAL / "ksmrun-oci"), str(PACKAGED / "ksmrun-oci"))
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

    ours: ksmrun wrote it. libexec: the folder of the launcher that it names, if any. remove:
    command that removes it; None for what a user wrote.
    """

    path: Path
    kind: str
    name: str
    ours: bool
    libexec: Path | None
    remove: str | None = None

    @property
    def lacks_launcher(self) -> bool:
        """Return whether the launcher that it names is missing, so that it would not start."""
        return self.libexec is not None and not (self.libexec / LAUNCHER.name).exists()


@dataclass(frozen=True)
class InstalledLauncher:
    """Launcher that new wraps name. is_current: it is of the running ksmrun's version."""

    path: str
    version: str
    is_current: bool

    def __str__(self) -> str:
        origin = ", from the package ksmrun-exec" if LIBEXEC == PACKAGED else ""
        return f"{self.path} {self.version}{origin}"


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
