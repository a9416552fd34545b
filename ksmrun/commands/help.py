"""`ksmrun help`: the manual pages, without man."""

from __future__ import annotations

import difflib

import typer

from ksmrun.commands.declare import declare
from ksmrun.commands.output import print_line
from ksmrun.model import EXIT_USAGE, KsmrunError
from ksmrun.options.help import HELP, HelpOptions
from ksmrun.options.show import help_text, width
from ksmrun.options.table import leaves, top


def register(app: typer.Typer) -> None:
    """Add the command."""
    declare(app, HELP, show_help)


def show_help(options: HelpOptions) -> None:
    """Print the page that the words name."""
    known = {each.words: each for each in (top(), *top().commands, *leaves())}
    found = known.get(options.words)
    if found is None:
        name = " ".join(options.words)
        names = [" ".join(words) for words in known if words]
        near = difflib.get_close_matches(name, names, 1)
        todo = f"did you mean `ksmrun help {near[0]}`?" if near else "see `ksmrun help`"
        raise KsmrunError(f"there is no command or topic {name!r:.60}", todo, EXIT_USAGE)
    for line in help_text(found, width()).split("\n"):
        print_line(line)
