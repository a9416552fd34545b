"""`ksmrun completion`: scripts for shells, which ask native/front/complete.c."""

from __future__ import annotations

import sys
from importlib import resources

import typer

from ksmrun.commands.declare import declare
from ksmrun.options.shells import COMPLETION, ShellOptions


def register(app: typer.Typer) -> None:
    """Add the command."""
    declare(app, COMPLETION, print_script)


def print_script(options: ShellOptions) -> None:
    """Print the shell's script as it is."""
    file = resources.files("ksmrun").joinpath(f"completion/ksmrun.{options.shell}")
    sys.stdout.write(file.read_text(encoding="utf-8"))
