"""`ksmrun wrap list`: what starts merged on this host."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ksmrun.commands.output import print_json, print_note, print_table
from ksmrun.commands.table import Column, Format, FormatOption, NoHeader, Style
from ksmrun.facts.wraps import find_wraps
from ksmrun.model.wrap import LAUNCHER

SCHEMA = "ksmrun-wrap-list-1"


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("list", epilog="Example: sudo ksmrun wrap list")(list_wraps)


def list_wraps(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    format_: FormatOption = Format.TABLE,
    no_header: NoHeader = False,
) -> None:
    """List what is wrapped on this host, by ksmrun or by hand.

    Exit code 1 if something names a launcher that is missing: it would not start.
    """
    as_json = as_json or format_ is Format.JSON
    style = Style(format_, not no_header)
    wraps = find_wraps()
    is_missing = not LAUNCHER.exists() and any(wrap.uses_launcher for wrap in wraps)
    if as_json:
        rows = [{**asdict(wrap), "path": str(wrap.path)} for wrap in wraps]
        print_json(SCHEMA, wraps=rows, launcher=str(LAUNCHER), launcher_missing=is_missing)
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
    if is_missing:
        if not as_json:
            print_note(
                f"{LAUNCHER} is missing: these will not start; to do: sudo ksmrun wrap install",
                style,
            )
        raise typer.Exit(1)
