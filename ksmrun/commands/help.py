"""`ksmrun help`: the manual pages, without man."""

from __future__ import annotations

import difflib
from importlib import resources

import typer

from ksmrun.commands.declare import declare
from ksmrun.commands.output import print_line
from ksmrun.model import EXIT_USAGE, KsmrunError
from ksmrun.options.help import HELP, HelpOptions
from ksmrun.options.page import Page, plain
from ksmrun.options.pages import TOPICS, pages
from ksmrun.options.show import help_text, width, wrapped
from ksmrun.options.table import top


def register(app: typer.Typer) -> None:
    """Add the command."""
    declare(app, HELP, show_help)


def show_help(options: HelpOptions) -> None:
    """Print the page that the words name; without any, all commands and topics."""
    topics = _topics()
    name = " ".join(options.words)
    if not name:
        lines = help_text(top(), width()).split("\n")
        listed = ", ".join(sorted((*TOPICS, *_texts())))
        lines += ["", *wrapped(f"Topics of `ksmrun help`: {listed}.", width())]
    elif page := _commands().get(name) or topics.get(name):
        lines = list(plain(page, width()))
    elif name in (texts := _texts()):
        lines = texts[name].splitlines()
    else:
        known = [*_commands(), *topics, *texts]
        near = difflib.get_close_matches(name, known, 1)
        todo = f"did you mean `ksmrun help {near[0]}`?" if near else "see `ksmrun help`"
        raise KsmrunError(f"there is no command or topic {name!r:.60}", todo, EXIT_USAGE)
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


def _texts() -> dict[str, str]:
    """Return the texts on topics that come with ksmrun."""
    folder = resources.files("ksmrun").joinpath("help")
    if not folder.is_dir():
        return {}
    return {
        file.name.removesuffix(".md"): file.read_text(encoding="utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".md")
    }
