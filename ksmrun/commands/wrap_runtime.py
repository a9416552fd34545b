"""`ksmrun wrap runtime`: the configuration that gives ksmrun-oci to a container engine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ksmrun.commands.output import say
from ksmrun.host.keys import group_label, keys_folder
from ksmrun.model import KsmrunError
from ksmrun.support import foreign
from ksmrun.wrap.runtime import CONTAINERD_FILE, Engine, render


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("runtime", epilog="Example: ksmrun wrap runtime docker")(print_runtime)


def print_runtime(
    engine: Annotated[Engine, typer.Argument(help="Whose configuration.", show_default=False)],
    default: Annotated[
        bool,
        typer.Option("--default", help="Also for containers that name no runtime, by request."),
    ] = False,
    environment: Annotated[
        bool,
        typer.Option(
            "--environment",
            help="By request KSMRUN_OCI in a container's environment counts too, which its image "
            "may set: for merging alone.",
        ),
    ] = False,
    layout_group: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Docker: one more runtime, ksmrun-NAME, whose containers share the group's "
            "address layout.",
        ),
    ] = None,
    config: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="containerd: the configuration that the lines are to go into."
        ),
    ] = Path(CONTAINERD_FILE),
) -> None:
    """Print lines that add ksmrun-oci to a container engine's runtimes.

    Containers started with the runtime `ksmrun` merge without a change of their image; with
    `ksmrun-by-request` those that ask by an annotation. The lines go to stdout, instructions to
    stderr; nothing is written.
    """
    if layout_group is not None:
        if engine is not Engine.DOCKER:
            raise KsmrunError(
                f"--layout-group is for docker, and {engine} passes annotations on",
                f"start containers with the annotation ksmrun.layout-group={layout_group}",
            )
        group_label(keys_folder(), layout_group)
    lines = render(
        engine,
        default,
        environment=environment,
        group=layout_group,
        config=_text(config) if engine is Engine.CONTAINERD else None,
        file=str(config),
    )
    sys.stdout.write(lines.text)
    sys.stdout.flush()
    for note in ("first: sudo ksmrun wrap install", *lines.notes):
        say(note)


def _text(file: Path) -> str | None:
    """Return the file's text; None if there is no file. Raises KsmrunError."""
    try:
        return foreign.read_bytes(file).decode()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise KsmrunError(
            f"{file} cannot be read: {error}", "name containerd's configuration: --config FILE"
        ) from error
