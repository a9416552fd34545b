"""`ksmrun layout`: the keys of shared layouts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ksmrun.commands.output import print_line
from ksmrun.host.container_keys import renew_container_keys, write_container_key
from ksmrun.host.keys import group_key, keys_folder, rotate, write_group_key
from ksmrun.model import KsmrunError
from ksmrun.model.wrap import ContainerKey

GROUP = Annotated[str, typer.Argument(metavar="GROUP", help="The name given to --layout-group.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Keys of shared address layouts.",
        epilog="Example: sudo ksmrun layout rotate games",
    )
    group.command("key", epilog="Example: sudo ksmrun layout key games --output /etc/games.key")(
        key
    )
    group.command("rotate", epilog="Example: sudo ksmrun layout rotate games")(rotate_layout)
    app.add_typer(group, name="layout")


def key(
    group: GROUP,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A new file, mode 0400; else to stdout, as bytes."),
    ] = None,
    containers: Annotated[
        bool,
        typer.Option(
            "--containers",
            help="The key that containers get instead: it tells nothing of the group's own. "
            "Written below /run/ksmrun/layout/containers unless --output says where.",
        ),
    ] = False,
    namespace: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --containers: of this namespace of Kubernetes."),
    ] = None,
    user: Annotated[
        int, typer.Option(metavar="UID", help="With --containers: who alone reads it. Default 0.")
    ] = 0,
) -> None:
    """Export a group's key. For `ksmrun-exec --layout-key`, where the master key is missing.

    Whoever has it knows every address of the group's programs.
    """
    if containers:
        container_key = ContainerKey(group, namespace, user)
        print_line(str(write_container_key(keys_folder(), container_key, output)))
        return
    if namespace is not None or user:
        raise KsmrunError("--namespace and --user are of containers", "add --containers")
    if output is not None:
        write_group_key(keys_folder(), group, output)
        return
    if sys.stdout.isatty():
        raise KsmrunError(
            "a key is secret, and this is a terminal", "give --output FILE, or a pipe"
        )
    sys.stdout.buffer.write(group_key(keys_folder(), group))


def rotate_layout(
    group: Annotated[
        str | None, typer.Argument(metavar="[GROUP]", help="One group; else all of them.")
    ] = None,
) -> None:
    """Give later launches another layout. Running programs keep theirs.

    Do this if a program of the group crashes repeatedly: somebody may be guessing addresses.
    """
    rotate(keys_folder(), group)
    renew_container_keys(keys_folder())
