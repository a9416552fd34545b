"""`ksmrun help`: the manual pages, without man."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ksmrun.commands.declare import Registry, declare
from ksmrun.commands.output import print_line, print_markdown
from ksmrun.model.errors import EXIT_USAGE, KsmrunError
from ksmrun.options.help import HELP, HelpOptions
from ksmrun.options.page import Page, plain
from ksmrun.options.pages import TOPICS, pages
from ksmrun.options.show import help_text, width, wrapped
from ksmrun.options.table import top
from ksmrun.options.texts import page_of, texts
from ksmrun.support.paste import pasteable
from ksmrun.support.words import quoted


def register(registry: Registry) -> None:
    """Add the command."""
    declare(registry, HELP, show_help)


def show_help(options: HelpOptions) -> None:
    """Print the pages that the words name; without any, all commands and topics."""
    commands, topics, found = _commands(), _topics(), texts()
    name = " ".join(options.words)
    if not name:
        listed = ", ".join(sorted({*TOPICS, *found}))
        lines = [*help_text(top(), width()).split("\n"), ""]
        _print([*lines, *wrapped(f"Topics of `ksmrun help`: {listed}.", width())])
        return
    page = commands.get(name) or topics.get(name)
    if page is None and name not in found:
        near = difflib.get_close_matches(name, [*commands, *topics, *found], 1)
        todo = f"did you mean `ksmrun help {near[0]}`?" if near else "see `ksmrun help`"
        raise KsmrunError(f"there is no command or topic {quoted(name)}", todo, EXIT_USAGE)
    if page is not None:
        _print(plain(page, width()))
    if name not in found:
        return
    # Before lines are filled.
    text = pasteable(found[name])
    if not print_markdown(text, width()):
        _print([*([""] if page else []), *plain(page_of(name, text), width())])


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print_line(line)


def _commands() -> dict[str, Page]:
    """Return the pages of commands, by the words after ksmrun, also joined as in a page's name."""
    found = {}
    for page in pages():
        if page.section == 1 and page.name.startswith("ksmrun-"):
            name = page.name.removeprefix("ksmrun-")
            found[name] = found[page.name] = page
    words = {each.words for each in top().commands}
    words |= {inner.words for each in top().commands for inner in each.commands}
    return found | {" ".join(each): found["-".join(each)] for each in words}


def _topics() -> dict[str, Page]:
    """Return the pages by topic, and as man pages name each other."""
    found = {page.reference: page for page in pages()}
    return found | {topic: found[reference] for topic, reference in TOPICS.items()}
