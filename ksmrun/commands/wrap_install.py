"""`ksmrun wrap install`: the launcher at the path that wraps name."""

from __future__ import annotations

from typing import Annotated

import typer

from ksmrun.commands.output import print_line
from ksmrun.facts.launcher import launcher_path
from ksmrun.facts.wraps import find_wraps
from ksmrun.host.libexec import install, uninstall
from ksmrun.model import KsmrunError
from ksmrun.model.wrap import LIBEXEC


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("install", epilog="Example: sudo ksmrun wrap install")(install_launcher)


def install_launcher(
    remove: Annotated[
        bool, typer.Option("--remove", help="Take it away, where nothing uses it.")
    ] = False,
) -> None:
    """Install the launcher for services and containers. In /usr/local/libexec/ksmrun.

    Each file is replaced atomically and running programs are not disturbed. Repeat this after each
    upgrade of ksmrun.
    """
    if not remove:
        lines = install(launcher_path().parent)
    else:
        users = [wrap for wrap in find_wraps() if wrap.uses_launcher]
        if users:
            # Without a launcher these would not start (203/EXEC).
            raise KsmrunError(
                f"{LIBEXEC} is used by {', '.join(str(wrap.path) for wrap in users)}",
                "take those away first: see `ksmrun wrap list`",
            )
        lines = uninstall()
    for line in lines:
        print_line(line)
