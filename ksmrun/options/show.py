"""Help of a command as plain text."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator

from ksmrun.options.command import HELP, HELP_TEXT, VERSION, Command
from ksmrun.options.item import Item
from ksmrun.options.parse import shown_default

WIDTH_MIN, WIDTH_MAX, COLUMN_MAX = 30, 100, 28
SIDE_BY_SIDE_MIN = 60


def width() -> int:
    """Return the columns to use: the terminal's or COLUMNS, 80 if neither is known."""
    return max(WIDTH_MIN, min(shutil.get_terminal_size((80, 24)).columns, WIDTH_MAX))


def names_of(item: Item) -> str:
    """Return an option as help lists it: "-n, --copies NUMBER"."""
    if item.is_argument:
        return f"{item.metavar}..." if item.is_many else item.metavar
    names = ", ".join(filter(None, (item.short, item.name)))
    if item.negative:
        names += f" / {item.negative}"
    return f"{names}[={item.value_word}]" if item.bare else f"{names} {item.value_word}".strip()


def sentences_of(item: Item, *, with_variable: bool) -> str:
    """Return the help of an option with its default, and the variable where it counts."""
    parts = [item.help]
    if default := shown_default(item):
        parts.append(f"Default: {default}.")
    if item.is_many and not item.is_argument:
        parts.append("Repeatable.")
    if item.variable and with_variable:
        parts.append(f"Variable: {item.variable}.")
    return " ".join(parts)


def help_text(command: Command, columns: int) -> str:
    """Return all of `--help`, without a line break at the end."""
    lines = ["Usage: " + command.usage, ""]
    for paragraph in (f"{command.summary}.", *command.text):
        lines += [*wrapped(paragraph, columns), ""]
    lines += _list("Commands:", ((each.name, each.summary) for each in command.commands), columns)
    lines += _list("Arguments:", _rows(command.arguments, command), columns)
    flags = [*_rows(command.flags, command), (", ".join(HELP), HELP_TEXT)]
    if not command.words:
        flags.insert(0, VERSION)
    lines += _list("Options:", flags, columns)
    lines += _list("Exit codes:", command.all_exit_codes, columns)
    for what, line in command.examples:
        lines += [f"Example: {line}", *(f"  {each}" for each in wrapped(f"{what}.", columns - 2))]
    return "\n".join(lines).rstrip()


def _rows(found: Iterable[Item], command: Command) -> Iterator[tuple[str, str]]:
    for item in found:
        yield names_of(item), sentences_of(item, with_variable=command.reads_variables)


def _list(title: str, rows: Iterable[tuple[str, str]], columns: int) -> list[str]:
    """Return names with their texts beside them, or below long ones."""
    table = list(rows)
    if not table:
        return []
    column = min(max(len(name) for name, _ in table), COLUMN_MAX)
    if columns < SIDE_BY_SIDE_MIN:
        column = 2
    lines = [title]
    for name, text in table:
        found = wrapped(text, columns - column - 4) or [""]
        if len(name) <= column:
            lines.append(f"  {name:{column}}  {found.pop(0)}".rstrip())
        else:
            lines.append(f"  {name}")
        lines += [" " * (column + 4) + line for line in found]
    return [*lines, ""]


def wrapped(text: str, columns: int) -> list[str]:
    """Return lines of at most these columns; a longer word has a line for itself."""
    return textwrap.wrap(text, columns, break_long_words=False, break_on_hyphens=False)
