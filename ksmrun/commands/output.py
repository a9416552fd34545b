"""What the commands share in showing results: JSON with a schema, tables, sizes."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from ksmrun.model import EXIT_USAGE, KsmrunError
from ksmrun.support.numbers import Range
from ksmrun.support.words import for_json, printable

MIB = 1 << 20
SHARES = Range(0, 100)
# Between two columns of a table.
GAP_COLUMNS = 3


def print_json(schema: str, **fields: Any) -> None:
    """One object on stdout; see support/words.py for bytes of names that are no UTF-8."""
    print(json.dumps(for_json({"schema": schema, **fields}), indent=1))


def print_json_line(schema: str, **fields: Any) -> None:
    """The same as one line."""
    print(json.dumps(for_json({"schema": schema, **fields})))


def print_line(line: str = "") -> None:
    """A line on stdout, which is one and steers no terminal, whatever names are in it."""
    print(printable(line))


def print_file(text: str) -> None:
    """The text of a file that may be piped into one: as it is, but for a terminal."""
    if sys.stdout.isatty():
        text = "\n".join(map(printable, text.split("\n")))
    print(text, end="")


def say(line: str) -> None:
    """A line on stderr. One without a reader, or full, must not end what is being done."""
    numbers = (signal.SIGPIPE, signal.SIGXFSZ)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    with contextlib.suppress(OSError):
        print(f"ksmrun: {printable(line)}", file=sys.stderr, flush=True)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def print_table(columns: dict[str, str], rows: list[list[str]]) -> None:
    """A table with these columns. The value of each is its kind: "left" and "right" keep all their
    width, "fold" may wrap, "cut" loses its end where the terminal is too narrow.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    widths = [
        max([len(name), *(len(row[index]) for row in rows)]) if kind in ("left", "right") else None
        for index, (name, kind) in enumerate(columns.items())
    ]
    # rich takes from all columns alike where none may wrap: what is left is worked out here.
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
        # Text, not markup: a command line may hold brackets. Undecodable bytes become visible.
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)


def mib(size_bytes: int | None) -> str:
    """A size in MiB with one decimal, "-" where it is not known."""
    # Adding zero makes -0.0, which it would print, 0.0.
    return "-" if size_bytes is None else f"{round(size_bytes / MIB, 1) + 0:.1f}"


def count(number: int | None) -> str:
    """A number, "-" where it is not known."""
    return "-" if number is None else str(number)


def parse_share(
    option: str, text: str, *, below_all: bool = False, exit_code: int = EXIT_USAGE
) -> float:
    """20% or 0.2 as 0.2, from 0 to 1 or, below_all, to less. Raises KsmrunError with that code."""
    try:
        share = SHARES.parse(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1 or (below_all and share == 1):
        below = "below " if below_all else ""
        raise KsmrunError(
            f"{option} is a share from 0% to {below}100%, not {text[:40]!r}",
            f"for example {option}=20%",
            exit_code,
        )
    return share


def own_program() -> str:
    """The path of the `ksmrun` that this is."""
    beside = Path(sys.argv[0]).absolute().with_name("ksmrun")
    return str(beside) if beside.is_file() else shutil.which("ksmrun") or "ksmrun"


def sudo_line(arguments: list[str]) -> str:
    """This command for root: with its whole path, as sudo's own PATH lacks virtual environments."""
    return shlex.join(["sudo", own_program(), *arguments])
