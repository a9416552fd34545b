"""`ksmrun wrap`: puts merging around what is already deployed."""

from __future__ import annotations

import importlib

import typer

# Each module of ksmrun.commands has register(group). In the order of the help.
COMMANDS = ("wrap_install", "wrap_unit", "wrap_quadlet", "wrap_list")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Put merging around services and containers that are already deployed.",
        epilog="Example: sudo ksmrun wrap unit --now nginx",
    )
    for name in COMMANDS:
        importlib.import_module(f"ksmrun.commands.{name}").register(group)
    app.add_typer(group, name="wrap")
