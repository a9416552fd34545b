"""Output shared by the commands: JSON with a schema, tables, sizes."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TextIO

from ksmrun.commands.plain import in_ascii, is_ascii_only
from ksmrun.commands.table import (
    Column,
    Style,
    cells_of,
    draw,
    fit,
    left_out_line,
    terminal_columns,
)
from ksmrun.options.output import Format
from ksmrun.support.paste import own_program, pasteable
from ksmrun.support.units import MIB
from ksmrun.support.words import for_json, printable

_STYLE = Style()
ROOM_MS = 200


def print_json(schema: str, **fields: Any) -> None:
    """Print one JSON object; support/words.py says how names that are not UTF-8 are written."""
    print(json.dumps(for_json({"schema": schema, **fields}), indent=1))


def print_json_line(schema: str, **fields: Any) -> None:
    """Print the same on one line."""
    print(json.dumps(for_json({"schema": schema, **fields})))


def shown(text: str, *, elsewhere: bool = True) -> str:
    """Return the text as a line that cannot control a terminal, in the locale's characters.

    elsewhere: its commands, if any, are not for this host.
    """
    text = printable(text if elsewhere else pasteable(text))
    return in_ascii(text) if is_ascii_only() else text


def print_line(line: str = "", *, elsewhere: bool = False) -> None:
    """Print exactly one line that cannot control a terminal, whatever names it contains.

    elsewhere: its commands are for other hosts, which may have ksmrun in another place.
    """
    print(shown(line, elsewhere=elsewhere))


def print_file(text: str) -> None:
    """Print a file's text, which may be piped into a file: unchanged, except on a terminal."""
    if sys.stdout.isatty():
        text = "\n".join(map(printable, text.split("\n")))
    print(text, end="")


def print_markdown(text: str, columns: int) -> bool:
    """Print our own Markdown on a terminal that can show it; return whether that was done."""
    if not sys.stdout.isatty() or _is_dumb() or is_ascii_only():
        return False
    # Not at the top: it takes longer to import than most commands take.
    from rich.console import Console
    from rich.markdown import Markdown

    Console(width=columns).print(Markdown(text))
    return True


def _is_dumb() -> bool:
    return os.environ.get("TERM") in ("dumb", "unknown")


def say(line: str, *, elsewhere: bool = False) -> None:
    """Print a line on stderr. What becomes of it must neither end nor stop the command.

    As native/common/stderr.c does: not printed if nobody makes room for it.
    """
    text = shown(line, elsewhere=elsewhere)
    if not _has_room(sys.stderr):
        return
    # A background job writes to its terminal also where `stty tostop` is on.
    numbers = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTTOU)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    with contextlib.suppress(OSError):
        print(f"ksmrun: {text}", file=sys.stderr, flush=True)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def _has_room(stream: TextIO) -> bool:
    try:
        poller = select.poll()
        poller.register(stream.fileno(), select.POLLOUT)
        return any(events & select.POLLOUT for _, events in poller.poll(ROOM_MS))
    # A stream of a test's, or closed.
    except (OSError, ValueError, AttributeError):
        return True


def print_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], style: Style = _STYLE
) -> None:
    """Print a table that fits the terminal and name the columns left out, or print TSV."""
    # Arms of an experiment are named by whoever made it.
    columns = [replace(column, name=shown(column.name)) for column in columns]
    # Texts may name commands to paste; others are names.
    cells = [
        [
            shown(cell, elsewhere=column.kind != "fold")
            for column, cell in zip(columns, row, strict=True)
        ]
        for row in rows
    ]
    if style.format is Format.TSV:
        for row in [[column.name for column in columns]] * style.has_header + cells:
            print("\t".join(row))
        return
    sizes = [max((cells_of(row[i]) for row in cells), default=0) for i in range(len(columns))]
    width = terminal_columns()
    layout = fit(columns, sizes, width)
    lines = draw(
        columns,
        cells,
        layout,
        has_header=style.has_header,
        ascii_only=is_ascii_only(),
        is_bold=sys.stdout.isatty() and not _is_dumb(),
    )
    print("\n".join(lines))
    if line := left_out_line(layout, width, style):
        print_line(line)


def print_note(line: str, style: Style) -> None:
    """Print a line beside a table: on stderr if stdout has rows alone."""
    if style.format is Format.TSV:
        say(line)
    else:
        print_line(line)


def mib(size_bytes: int | None) -> str:
    """Return a size in MiB with one decimal, "-" if unknown."""
    # Adding 0.0 turns -0.0 into 0.0.
    return "-" if size_bytes is None else f"{round(size_bytes / MIB, 1) + 0:.1f}"


def count(number: int | None) -> str:
    """Return a number, "-" if unknown."""
    return "-" if number is None else str(number)


def sudo_line(arguments: Sequence[str]) -> str:
    """Return this command for root, with its full path: sudo's PATH lacks virtual environments."""
    return shlex.join(["sudo", own_program(), *arguments])
