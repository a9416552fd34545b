"""All commands, each in a module that is imported when it is named."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
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
    "trust": "trust",
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


def command_of(words: Sequence[str]) -> Command | None:
    """Return the command, or the group, that a command line begins with."""
    if not words or words[0] not in MODULES:
        return None
    found = command(words[0])
    inner = {each.words: each for each in found.commands}
    return inner.get(tuple(words[:2]), found)


def top() -> Command:
    """Return ksmrun itself, with all its commands."""
    return replace(
        NAMELESS,
        commands=tuple(map(command, MODULES)),
        examples=(
            ("Start a program merged", "ksmrun run -- sleep 1"),
            ("Show what to do when something is wrong", "ksmrun help troubleshooting"),
        ),
    )


def leaves() -> tuple[Command, ...]:
    """Return all commands that can be run."""
    found: list[Command] = []
    for each in top().commands:
        found += each.commands or (each,)
    return tuple(found)
