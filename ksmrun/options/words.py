"""Read the words of a correct command line; typer explains every other one.

Importing typer takes longer than most commands do. What is accepted here, and what is made of it,
is what typer would make of it (`tests/unit/test_command_words.py` compares the two).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ksmrun.options.command import HELP, Command
from ksmrun.options.item import Item, Kind, items


@dataclass
class Words:
    """Texts and switches by attribute; is_help: the help is asked for, and nothing else counts.

    rest: what follows the options, if the command passes it on.
    """

    raw: dict[str, Any] = field(default_factory=dict)
    rest: tuple[str, ...] = ()
    is_help: bool = False


def read_words(command: Command, given: Sequence[str]) -> Words | None:
    """Return what the words after the command's own say; None if they are not plainly correct."""
    options = {name: each for each in command.flags for name in each.names}
    found = Words()
    places: list[str] = []
    at = 0
    while at < len(given):
        word = given[at]
        at += 1
        if word == "--":
            places += given[at:]
            break
        if word in HELP:
            found.is_help = True
        elif not word.startswith("-") or word == "-":
            places.append(word)
            if command.passes:
                places += given[at:]
                break
        else:
            # A short option has its value in the next word here.
            name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
            item = options.get(name)
            if item is None or (equals and item.kind is Kind.SWITCH):
                return None
            if item.bare and not equals:
                value = item.bare
            elif item.kind is not Kind.SWITCH and not equals:
                if at == len(given):
                    return None
                value = given[at]
                at += 1
            _put(found.raw, item, name, value)
    return found if found.is_help or _place(command, found, places) else None


def _put(raw: dict[str, Any], item: Item, name: str, value: str) -> None:
    if item.kind is Kind.SWITCH:
        raw[item.attribute] = name != item.negative
    elif item.is_many:
        raw.setdefault(item.attribute, []).append(value)
    else:
        raw[item.attribute] = value


def _place(command: Command, found: Words, places: list[str]) -> bool:
    """Give the words to the arguments; return whether each has what it needs."""
    for item in items(command.options):
        if not item.is_argument:
            continue
        taken = places if item.is_many else places[:1]
        if item.is_required and not taken:
            return False
        if taken:
            found.raw[item.attribute] = list(taken) if item.is_many else taken[0]
        places = places[len(taken) :]
    found.rest = tuple(places)
    return not places or bool(command.passes)
