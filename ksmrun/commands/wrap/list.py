"""`ksmrun wrap list`: what starts merged on this host."""

from __future__ import annotations

from dataclasses import asdict

import typer

from ksmrun.commands.declare import declare
from ksmrun.commands.output import print_json, print_note, print_table
from ksmrun.commands.table import Column, style_of, wants_json
from ksmrun.facts.wraps import find_wraps
from ksmrun.model.wrap import INSTALL_LAUNCHER, LAUNCHER, LIBEXEC, Wrap
from ksmrun.options.wrap import LIST, ListOptions

SCHEMA = "ksmrun-wrap-list-1"


def register(group: typer.Typer) -> None:
    """Add the command."""
    declare(group, LIST, list_wraps)


def list_wraps(options: ListOptions) -> None:
    """Print what is found, and whether the launcher is there."""
    style = style_of(options)
    wraps = find_wraps()
    lacking = [wrap.libexec for wrap in wraps if wrap.lacks_launcher]
    if wants_json(options):
        rows = [_row(wrap) for wrap in wraps]
        print_json(SCHEMA, wraps=rows, launcher=str(LAUNCHER), launcher_missing=bool(lacking))
    elif wraps:
        columns = [
            Column("kind", "left"),
            Column("name", "name"),
            Column("to remove", "fold"),
            Column("file", "fold"),
        ]
        print_table(
            columns,
            [
                [
                    wrap.kind,
                    wrap.name,
                    wrap.remove or "by hand: ksmrun did not write it",
                    str(wrap.path),
                ]
                for wrap in wraps
            ],
            style,
        )
    else:
        print_note("nothing is wrapped; see `ksmrun wrap unit --help`", style)
    if lacking:
        if not wants_json(options):
            for libexec in dict.fromkeys(lacking):
                todo = INSTALL_LAUNCHER
                if libexec != LIBEXEC:
                    todo = "wrap them again, so that they name the launcher of this ksmrun"
                missing = f"{libexec}/{LAUNCHER.name}"
                print_note(f"{missing} is missing: these will not start; to do: {todo}", style)
        raise typer.Exit(1)


def _row(wrap: Wrap) -> dict[str, object]:
    fields = asdict(wrap)
    fields["path"] = str(wrap.path)
    fields["uses_launcher"] = wrap.libexec is not None
    fields["libexec"] = None if wrap.libexec is None else str(wrap.libexec)
    return fields
