"""Options of the commands of `ksmrun wrap` for services and engines."""

from __future__ import annotations

from pathlib import Path

from ksmrun.model.container import RuntimeEngine
from ksmrun.model.frozen import dataclass
from ksmrun.model.wrap import CONTAINERD_FILE, Method
from ksmrun.options.command import Command, NoOptions
from ksmrun.options.containers import COMPOSE, IMAGE, POD
from ksmrun.options.item import Values, argument, choice, option, path, switch
from ksmrun.options.launch import DomainOptions, GroupOptions, WrapOptions
from ksmrun.options.output import TableOptions


@dataclass(frozen=True)
class InstallOptions:
    """Options of `ksmrun wrap install`."""

    remove: bool = switch("Remove the launcher, where nothing uses it.")


# Those that change nothing, with each other and with those that change something.
EXCLUDES = (("--print", "--check", "--remove"), ("--print", "--check", "--now"))


@dataclass(frozen=True)
class ServiceOptions:
    """Options of commands that write a drop-in."""

    show: bool = switch("Show the drop-in, and change nothing.", name="--print")
    remove: bool = switch("Remove the drop-in.")
    check: bool = switch("Check whether it merges while it runs; exit with 1 if it does not.")
    now: bool = switch("Restart it now. If it does not start, the change is taken back.")
    user: bool = switch("Use your own service manager (systemctl --user).")
    as_json: bool = switch("With --check: print one JSON object.", name="--json")


@dataclass(frozen=True)
class UnitOptions(ServiceOptions, DomainOptions, WrapOptions):
    """Options of `ksmrun wrap unit`."""

    name: str = argument(
        "Service; NAME@ stands for all instances of a template.",
        "NAME",
        is_required=True,
        values=Values.SERVICE,
    )
    method: Method = choice(
        "Way to enable merging: the launcher before the command (wrapper), or systemd's "
        "MemoryKSM=yes (memory-ksm). auto tries the latter and takes it where it is enough.",
        Method.AUTO,
    )


@dataclass(frozen=True)
class QuadletOptions(ServiceOptions, DomainOptions, GroupOptions):
    """Options of `ksmrun wrap quadlet`."""

    name: str = argument("Quadlet file, by its name alone.", "NAME.container", is_required=True)


@dataclass(frozen=True)
class ListOptions(TableOptions):
    """Options of `ksmrun wrap list`."""


@dataclass(frozen=True)
class RuntimeOptions:
    """Options of `ksmrun wrap runtime`."""

    engine: RuntimeEngine = argument(
        "Container engine.",
        "ENGINE",
        of=RuntimeEngine,
        is_required=True,
    )
    default: bool = switch(
        "Let containers that name no runtime merge by request, too.", name="--default"
    )
    environment: bool = switch(
        "With requests: also accept KSMRUN_OCI in a container's environment, which its image may "
        "set, for merging alone."
    )
    layout_group: str | None = option(
        "Docker: add a runtime ksmrun-GROUP, whose containers share the group's layout.",
        metavar="GROUP",
        values=Values.GROUP,
    )
    config: Path = path(
        "Configuration of containerd that the lines are to go into.", Path(CONTAINERD_FILE)
    )


INSTALL = Command(
    ("wrap", "install"),
    "Install the launcher where services and containers find it",
    (
        "The folder is /usr/local/libexec/ksmrun. Each file is replaced atomically, and running "
        "programs are not disturbed. Repeat this after each upgrade of ksmrun. A package brings "
        "its own launcher in /usr/libexec/ksmrun, and nothing is left to install.",
    ),
    InstallOptions,
    (("Install the launcher", "sudo ksmrun wrap install"),),
)
UNIT = Command(
    ("wrap", "unit"),
    "Make a systemd service start merged, by a drop-in",
    (
        "The drop-in wraps ExecStart=; prefixes, quotes, specifiers and $VAR stay as they are. "
        "systemd is asked before and after: where it does not read the same command, the drop-in "
        "is taken back.",
    ),
    UnitOptions,
    (
        ("Show the drop-in", "ksmrun wrap unit --print systemd-journald.service"),
        ("Wrap a service, and restart it", "sudo ksmrun wrap unit --now nginx"),
    ),
    excludes=EXCLUDES,
)
QUADLET = Command(
    ("wrap", "quadlet"),
    "Make a container of Podman's Quadlet start merged, by the runtime ksmrun-oci",
    ("Image and file stay as they are. Podman reads drop-ins of .container files since 5.0.",),
    QuadletOptions,
    (
        ("Show the drop-in", "ksmrun wrap quadlet --print web.container"),
        ("Wrap a container, and restart it", "sudo ksmrun wrap quadlet --now web.container"),
    ),
    excludes=EXCLUDES,
)
LIST = Command(
    ("wrap", "list"),
    "List what starts merged on this host, by ksmrun or by hand",
    (),
    ListOptions,
    (("List everything", "sudo ksmrun wrap list"),),
    (("1", "something names the launcher, which is missing, so it would not start"),),
)
RUNTIME = Command(
    ("wrap", "runtime"),
    "Print the configuration that makes ksmrun-oci a runtime of a container engine",
    (
        "Containers started with the runtime `ksmrun` merge without a change of their image; with "
        "`ksmrun-by-request` those do that ask for it by an annotation. The lines go to stdout, "
        "what to do with them to stderr; nothing is written.",
    ),
    RuntimeOptions,
    (("Print the lines for Docker", "ksmrun wrap runtime docker"),),
)
WRAP = Command(
    ("wrap",),
    "Make services and containers start merged that are already deployed",
    (),
    NoOptions,
    (("See what is wrapped", "sudo ksmrun wrap list"),),
    commands=(INSTALL, UNIT, QUADLET, LIST, IMAGE, COMPOSE, POD, RUNTIME),
)
