"""Argument of `ksmrun help`."""

from __future__ import annotations

from ksmrun.model.frozen import dataclass
from ksmrun.options.command import Command
from ksmrun.options.item import argument


@dataclass(frozen=True)
class HelpOptions:
    """Argument of `ksmrun help`."""

    words: tuple[str, ...] = argument("Command, or topic.", "COMMAND|TOPIC", is_many=True)


HELP = Command(
    ("help",),
    "Show the manual page of a command, or a topic",
    ("Without a word, list commands and topics.",),
    HelpOptions,
    (("Show the page of a command", "ksmrun help wrap unit"),),
)
