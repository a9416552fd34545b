"""`ksmrun wrap`: add merging to what is already deployed."""

from __future__ import annotations

import importlib

import typer

from ksmrun.commands.declare import group
from ksmrun.options.wrap import WRAP

# Modules of this package with register(group), in the order of the help.
COMMANDS = ("install", "unit", "quadlet", "list", "image", "compose", "pod", "runtime")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = group(WRAP)
    for name in COMMANDS:
        importlib.import_module(f"ksmrun.commands.wrap.{name}").register(commands)
    app.add_typer(commands, name="wrap")
