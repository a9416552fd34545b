"""`ksmrun completion`: scripts for shells, which ask native/front/complete.c."""

from __future__ import annotations

import sys
from pathlib import Path

from ksmrun.commands.declare import Registry, declare
from ksmrun.options.shells import COMPLETION, ShellOptions


def register(registry: Registry) -> None:
    """Add the command."""
    declare(registry, COMPLETION, print_script)


def print_script(options: ShellOptions) -> None:
    """Print the shell's script as it is."""
    file = Path(__file__).parents[1] / f"completion/ksmrun.{options.shell}"
    sys.stdout.write(file.read_text(encoding="utf-8"))
