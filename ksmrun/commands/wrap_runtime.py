"""`ksmrun wrap runtime`: the configuration that gives ksmrun-oci to a container engine."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ksmrun.commands.output import say
from ksmrun.wrap.runtime import Engine, render


def register(group: typer.Typer) -> None:
    """Adds the command."""
    group.command("runtime", epilog="Example: ksmrun wrap runtime docker")(print_runtime)


def print_runtime(
    engine: Annotated[Engine, typer.Argument(help="Whose configuration.", show_default=False)],
    default: Annotated[
        bool,
        typer.Option("--default", help="Also for containers that name no runtime, by request."),
    ] = False,
) -> None:
    """Print the lines that make ksmrun-oci a runtime of a container engine.

    Containers started with the runtime `ksmrun` merge without a change of their image; with
    `ksmrun-by-request` those that ask by an annotation or KSMRUN_OCI. The lines go to stdout, what
    to do with them to stderr; nothing is written.
    """
    lines = render(engine, default)
    sys.stdout.write(lines.text)
    sys.stdout.flush()
    for note in ("first: sudo ksmrun wrap install", *lines.notes):
        say(note)
