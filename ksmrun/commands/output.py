"""Output shared by the commands: JSON with a schema, tables, sizes."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import sys
from typing import Any

from ksmrun.model import UsageError
from ksmrun.support.paste import own_program, pasteable
from ksmrun.support.words import for_json, printable, shortened

MIB = 1 << 20
# Between two columns of a table.
GAP_COLUMNS = 3


def print_json(schema: str, **fields: Any) -> None:
    """Print one JSON object; support/words.py says how names that are not UTF-8 are written."""
    print(json.dumps(for_json({"schema": schema, **fields}), indent=1))


def print_json_line(schema: str, **fields: Any) -> None:
    """Print the same on one line."""
    print(json.dumps(for_json({"schema": schema, **fields})))


def print_line(line: str = "", *, elsewhere: bool = False) -> None:
    """Print exactly one line that cannot control a terminal, whatever names it contains.

    elsewhere: its commands are for other hosts, which may have ksmrun in another place.
    """
    print(printable(line if elsewhere else pasteable(line)))


def print_file(text: str) -> None:
    """Print a file's text, which may be piped into a file: unchanged, except on a terminal."""
    if sys.stdout.isatty():
        text = "\n".join(map(printable, text.split("\n")))
    print(text, end="")


def say(line: str, *, elsewhere: bool = False) -> None:
    """Print a line on stderr. A closed or full stderr must not end the command."""
    shown = printable(line if elsewhere else pasteable(line))
    numbers = (signal.SIGPIPE, signal.SIGXFSZ)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    with contextlib.suppress(OSError):
        print(f"ksmrun: {shown}", file=sys.stderr, flush=True)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def print_table(columns: dict[str, str], rows: list[list[str]]) -> None:
    """Print a table. A column's value is its kind.

    "left" and "right" keep their full width, "fold" may wrap, "cut" is truncated on a narrow
    terminal.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [list(map(pasteable, row)) for row in rows]
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    widths = [
        max([len(name), *(len(row[index]) for row in rows)]) if kind in ("left", "right") else None
        for index, (name, kind) in enumerate(columns.items())
    ]
    # rich shrinks all columns alike if none may wrap, so the width that is left is computed here.
    rest = console.width - sum(width + GAP_COLUMNS for width in widths if width is not None)
    for (name, kind), width in zip(columns.items(), widths, strict=True):
        table.add_column(
            name,
            justify="right" if kind == "right" else "left",
            no_wrap=kind != "fold",
            overflow="fold" if kind == "fold" else "ellipsis",
            min_width=width,
            max_width=max(rest, len(name)) if kind == "cut" else None,
        )
    for row in rows:
        # Text, not markup: a command line may contain brackets. Undecodable bytes become visible.
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)


def mib(size_bytes: int | None) -> str:
    """Return a size in MiB with one decimal, "-" if unknown."""
    # Adding 0.0 turns -0.0 into 0.0.
    return "-" if size_bytes is None else f"{round(size_bytes / MIB, 1) + 0:.1f}"


def count(number: int | None) -> str:
    """Return a number, "-" if unknown."""
    return "-" if number is None else str(number)


def parse_share(option: str, text: str, *, below_all: bool = False) -> float:
    """Parse 20% or 0.2 as 0.2, from 0 to 1. Raises UsageError.

    below_all: 1 itself is not allowed.
    """
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1 or (below_all and share == 1):
        most = "less than 100%" if below_all else "100%"
        raise UsageError(
            f"{option}={shortened(text)} is not a share",
            f"give a percentage from 0% to {most}, as in {option}=20%",
        )
    return share


def sudo_line(arguments: list[str]) -> str:
    """Return this command for root, with its full path: sudo's PATH lacks virtual environments."""
    return shlex.join(["sudo", own_program(), *arguments])
