"""Table of completion for native/front/complete.c, generated when that is built."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ksmrun.model.frozen import dataclass
from ksmrun.options.command import HELP, HELP_TEXT, VERSION
from ksmrun.options.item import Item, Kind, items
from ksmrun.options.pages import TOPICS
from ksmrun.options.table import leaves, top
from ksmrun.options.texts import texts, title_of

# As enum role there.
ROLES = ("SUBCOMMAND", "SWITCH", "OPTION", "ARGUMENT", "REST")


@dataclass(frozen=True)
class Entry:
    """Row of the table; see struct entry there."""

    command: str
    role: str
    name: str
    help: str
    choices: str = ""
    kind: str = "none"
    is_many: bool = False

    @property
    def line(self) -> str:
        """Return the row in C, of which JSON's strings are valid ones in ASCII."""
        texts = (self.command, self.name, self.choices, self.kind, self.help)
        head = f"{ROLES.index(self.role)}{'+' if self.is_many else '-'}"
        return " ".join([f'    "{head}"', *(rf'{json.dumps(each)} "\0"' for each in texts)])


def entries() -> Iterator[Entry]:
    """Yield all rows, in the order in which they are offered."""
    name, text = VERSION
    yield Entry("", "SWITCH", name, text.removesuffix("."))
    for command in (top(), *top().commands, *leaves()):
        path = " ".join(command.words)
        for inner in command.commands:
            yield Entry(path, "SUBCOMMAND", inner.name, inner.summary)
        if command.words == ("help",):
            yield from _topics(path)
            continue
        for item in items(command.options):
            yield from _of(path, item)
        if command.passes:
            yield Entry(path, "REST", "COMMAND", "Program to start")
        for name in HELP:
            yield Entry(path, "SWITCH", name, HELP_TEXT.removesuffix("."))


def _of(path: str, item: Item) -> Iterator[Entry]:
    text = item.help.partition(". ")[0].removesuffix(".")
    choices = "|".join(item.choices)
    if item.is_argument:
        yield Entry(path, "ARGUMENT", item.name, text, choices, item.values, item.is_many)
        return
    if item.bare:
        # Its value is in the same word.
        for name in (item.name, *(f"{item.name}={each}" for each in item.choices)):
            yield Entry(path, "SWITCH", name, text)
        return
    role = "SWITCH" if item.kind is Kind.SWITCH else "OPTION"
    for name in item.names:
        yield Entry(path, role, name, text, choices, item.values, item.is_many)


def _topics(path: str) -> Iterator[Entry]:
    """Yield the commands and topics that `ksmrun help` takes."""
    for topic, reference in TOPICS.items():
        yield Entry(path, "SUBCOMMAND", topic, f"Show {reference}")
    names = {each.name for each in top().commands}
    for topic, text in texts().items():
        if topic not in names:
            yield Entry(path, "SUBCOMMAND", topic, title_of(text))
    for command in top().commands:
        yield Entry(path, "SUBCOMMAND", command.name, command.summary)
        for inner in command.commands:
            yield Entry(f"{path} {command.name}", "SUBCOMMAND", inner.name, inner.summary)


def table_text() -> str:
    """Return the file that complete.c includes."""
    return "\n".join(each.line for each in dict.fromkeys(entries())) + "\n"
