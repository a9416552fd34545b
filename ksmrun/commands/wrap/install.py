"""`ksmrun wrap install`: the launcher at the path that wraps name."""

from __future__ import annotations

import typer

from ksmrun.commands.declare import declare
from ksmrun.commands.output import print_line
from ksmrun.facts.launcher import launcher_path
from ksmrun.facts.wraps import find_wraps
from ksmrun.host.installed_launcher import install, uninstall
from ksmrun.model.errors import KsmrunError
from ksmrun.model.wrap import LOCAL
from ksmrun.options.wrap import INSTALL, InstallOptions


def register(group: typer.Typer) -> None:
    """Add the command."""
    declare(group, INSTALL, install_launcher)


def install_launcher(options: InstallOptions) -> None:
    """Copy the launcher, or take it away."""
    if not options.remove:
        lines = install(launcher_path().parent)
    else:
        users = [wrap for wrap in find_wraps() if wrap.libexec == LOCAL]
        if users:
            # Without a launcher these would not start (203/EXEC).
            raise KsmrunError(
                f"{LOCAL} is used by {', '.join(str(wrap.path) for wrap in users)}",
                "remove those first: see `ksmrun wrap list`",
            )
        lines = uninstall()
    for line in lines:
        print_line(line)
