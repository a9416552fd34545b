"""All commands, each in a module that is imported when it is named."""

from __future__ import annotations

import importlib
from dataclasses import replace

from ksmrun.options.command import Command

# Name: the module here, and the constant in it. In the order of the help.
MODULES = {
    "run": "launch",
    "attach": "attach",
    "detach": "attach",
    "check": "check",
    "estimate": "estimate",
    "ps": "ps",
    "top": "ps",
    "explain": "explain",
    "monitor": "monitor",
    "status": "status",
    "ab": "ab",
    "report": "report",
    "host": "host",
    "wrap": "wrap",
    "layout": "layout",
    "completion": "shells",
    "help": "help",
}


NAMELESS = Command(
    (), "Start unmodified programs so that Linux keeps equal pages of their memory once (KSM)"
)


def command(name: str) -> Command:
    """Return a command by its first word. Raises KeyError."""
    module = importlib.import_module(f"ksmrun.options.{MODULES[name]}")
    found: Command = getattr(module, name.upper())
    return found


def top() -> Command:
    """Return ksmrun itself, with all its commands."""
    return replace(
        NAMELESS,
        commands=tuple(map(command, MODULES)),
        examples=(("Start a program merged", "ksmrun run -- sleep 1"),),
    )


def leaves() -> tuple[Command, ...]:
    """Return all commands that can be run."""
    found: list[Command] = []
    for each in top().commands:
        found += each.commands or (each,)
    return tuple(found)
