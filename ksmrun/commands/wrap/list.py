"""`ksmrun wrap list`: what starts merged on this host."""

from __future__ import annotations

from dataclasses import asdict

from ksmrun.commands.declare import Registry, declare
from ksmrun.commands.output import print_json, print_note, print_table
from ksmrun.commands.table import Column, style_of, wants_json
from ksmrun.facts.wraps import find_wraps
from ksmrun.model.wrap import LAUNCHER
from ksmrun.options.wrap import LIST, ListOptions

SCHEMA = "ksmrun-wrap-list-1"


def register(registry: Registry) -> None:
    """Add the command."""
    declare(registry, LIST, list_wraps)


def list_wraps(options: ListOptions) -> None:
    """Print what is found, and whether the launcher is there."""
    style = style_of(options)
    wraps = find_wraps()
    is_missing = not LAUNCHER.exists() and any(wrap.uses_launcher for wrap in wraps)
    if wants_json(options):
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
        if not wants_json(options):
            print_note(
                f"{LAUNCHER} is missing: these will not start; to do: sudo ksmrun wrap install",
                style,
            )
        raise SystemExit(1)
