"""`ksmrun wrap`: add merging to what is already deployed."""

from __future__ import annotations

import importlib

import typer

from ksmrun.commands.declare import group
from ksmrun.options.wrap import WRAP

# Each module of ksmrun.commands has register(group). In the order of the help.
COMMANDS = (
    *("wrap_install", "wrap_unit", "wrap_quadlet", "wrap_list"),
    *("wrap_image", "wrap_compose", "wrap_pod", "wrap_runtime"),
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = group(WRAP)
    for name in COMMANDS:
        importlib.import_module(f"ksmrun.commands.{name}").register(commands)
    app.add_typer(commands, name="wrap")
