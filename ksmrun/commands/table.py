"""Tables that fit the terminal: which columns are shown, and how wide. rich draws them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ksmrun.options.output import Format, TableOptions

if TYPE_CHECKING:
    from rich.table import Table

# Width of piped output: the same wherever it runs.
PIPED_COLUMNS = 200
COLUMNS_MAX = 10_000
# Between two columns of a table.
GAP_COLUMNS = 2
# Least width of a text column that can be read, and one that reads well.
TEXT_COLUMNS_MIN = 16
TEXT_COLUMNS_GOOD = 40


@dataclass(frozen=True)
class Style:
    """Options of a table's output. is_chosen: they are options of the command."""

    format: Format = Format.TABLE
    has_header: bool = True
    is_chosen: bool = False


def style_of(options: TableOptions) -> Style:
    """Return how its table is printed."""
    return Style(options.format, not options.no_header, is_chosen=True)


def wants_json(options: TableOptions) -> bool:
    """Return whether JSON is asked for, in either way."""
    return options.as_json or options.format is Format.JSON


@dataclass(frozen=True)
class Column:
    """One column.

    kind: "left" and "right" keep their full width, "fold" wraps, "name" wraps too but gets its
    width before others, "cut" is truncated with a sign, "command" first loses the folder of its
    program. priority: 0 is always shown; of the others the highest is left out first.
    """

    name: str
    kind: Literal["left", "right", "name", "fold", "cut", "command"]
    priority: int = 0

    @property
    def is_text(self) -> bool:
        """Return whether it may be narrower than its cells."""
        return self.kind not in ("left", "right")


def terminal_columns() -> int:
    """Return the width to print for: COLUMNS, else the terminal's, else that of piped output.

    TERM does not matter: a dumb terminal has a width too.
    """
    asked = os.environ.get("COLUMNS", "")
    if asked.isascii() and asked.isdigit() and 0 < int(asked[:6]) <= COLUMNS_MAX:
        return int(asked)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or PIPED_COLUMNS
    except (OSError, ValueError):
        return PIPED_COLUMNS


@dataclass(frozen=True)
class Layout:
    """Widths of the columns shown, by their index, and the names of those left out."""

    widths: dict[int, int]
    left_out: tuple[str, ...]


def fit(columns: Sequence[Column], sizes: Sequence[int], width: int) -> Layout:
    """Lay out columns whose longest cells have these sizes. Pure.

    First texts shrink and heads of several words wrap, then columns are left out by priority. Those
    that are always shown keep their least width, so a table can be wider than a tiny terminal.
    """
    shown = list(range(len(columns)))
    least = [_least(column, size) for column, size in zip(columns, sizes, strict=True)]
    while sum(least[i] for i in shown) + GAP_COLUMNS * (len(shown) - 1) > width:
        last = max(shown, key=lambda i: columns[i].priority)
        if columns[last].priority == 0:
            break
        shown.remove(last)
    most = {i: max(sizes[i], len(columns[i].name)) for i in shown}
    rest = width - sum(least[i] for i in shown) - GAP_COLUMNS * (len(shown) - 1)
    widths = {i: least[i] for i in shown}
    names = [i for i in shown if columns[i].kind == "name"]
    texts = [i for i in shown if columns[i].is_text]
    rest = _share_out(widths, {i: most[i] for i in names}, rest)
    rest = _share_out(widths, {i: min(most[i], TEXT_COLUMNS_GOOD) for i in texts}, rest)
    # Heads in one line, if the texts read well without that width.
    rest = _share_out(widths, {i: most[i] for i in shown if i not in texts}, rest)
    _share_out(widths, {i: most[i] for i in texts}, rest)
    left_out = tuple(each.name for i, each in enumerate(columns) if i not in widths)
    return Layout(widths, left_out)


def _least(column: Column, size: int) -> int:
    """Return the width below which it cannot be read."""
    head = max(map(len, column.name.split()), default=0)
    if column.is_text:
        return max(head, min(size, TEXT_COLUMNS_MIN))
    return max(head, size)


def _share_out(widths: dict[int, int], most: dict[int, int], rest: int) -> int:
    """Widen each up to its most, those that need least first. Return what is left."""
    wanting = sorted(most, key=lambda i: most[i] - widths[i])
    for position, i in enumerate(wanting):
        share = max(0, rest) // (len(wanting) - position)
        more = min(share, max(0, most[i] - widths[i]))
        widths[i] += more
        rest -= more
    return rest


def left_out_line(layout: Layout, width: int, style: Style) -> str | None:
    """Return which columns are not shown, and how to see them; None if all are."""
    if not layout.left_out:
        return None
    return (
        f"not shown at {width} columns: {', '.join(layout.left_out)}; "
        f"to do: widen the terminal{', or use --format tsv' if style.is_chosen else ''}"
    )


def draw(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    layout: Layout,
    *,
    has_header: bool = True,
    ascii_only: bool = False,
) -> Table:
    """Return the table for rich to print. rows: of printable cells."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    lines = box.Box(str(box.SIMPLE_HEAD).replace("─", "-"), ascii=True)
    table = Table(
        box=lines if ascii_only else box.SIMPLE_HEAD,
        padding=(0, GAP_COLUMNS - 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        show_header=has_header,
    )
    for number, width in layout.widths.items():
        column = columns[number]
        justify: Literal["left", "right"] = "right" if column.kind == "right" else "left"
        # Text, not markup: a command line may hold brackets.
        table.add_column(Text(column.name), justify=justify, width=width, overflow="fold")
    sign = "..." if ascii_only else "…"
    for row in rows:
        cells = [_cell(columns[i], row[i], width, sign) for i, width in layout.widths.items()]
        table.add_row(*map(Text, cells))
    return table


def _cell(column: Column, text: str, width: int, sign: str) -> str:
    if column.kind == "command":
        return cut_command(text, width, sign)
    return cut(text, width, sign) if column.kind == "cut" else text


def cut_command(text: str, width: int, sign: str = "…") -> str:
    """Return a command line that fits: its program's name tells more than the folder does."""
    if cut(text, width, sign) != text and text.startswith("/"):
        program, blank, words = text.partition(" ")
        text = program.rpartition("/")[2] + blank + words
    return cut(text, width, sign)


def cut(text: str, width: int, sign: str = "…") -> str:
    """Return the beginning of a text that is too wide, with the sign at its end."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - len(sign))) + sign


def table_width(layout: Layout) -> int:
    """Return the width of the table."""
    return sum(layout.widths.values()) + GAP_COLUMNS * (len(layout.widths) - 1)
