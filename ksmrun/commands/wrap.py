"""`ksmrun wrap`: add merging to what is already deployed."""

from __future__ import annotations

import importlib

import typer

# Each module has register(group). This is the order in the help.
COMMANDS = (
    *("wrap_install", "wrap_unit", "wrap_quadlet", "wrap_list"),
    *("wrap_image", "wrap_compose", "wrap_pod", "wrap_runtime"),
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Put merging around services and containers that are already deployed.",
        epilog="Example: sudo ksmrun wrap unit --now nginx",
    )
    for name in COMMANDS:
        importlib.import_module(f"ksmrun.commands.{name}").register(group)
    app.add_typer(group, name="wrap")
