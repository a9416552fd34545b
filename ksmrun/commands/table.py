"""Tables that fit the terminal: which columns are shown, how wide, and their lines.

rich could draw them, but takes longer to import than most commands take, and seconds for thousands
of rows.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Literal

from ksmrun.model.frozen import dataclass
from ksmrun.options.output import Format, TableOptions

# Width of piped output: the same wherever it runs.
PIPED_COLUMNS = 200
COLUMNS_MAX = 10_000
# Between two columns of a table.
GAP_COLUMNS = 2
# Stands for what is cut off.
CUT = "…"
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
    is_bold: bool = False,
) -> Iterator[str]:
    """Yield the lines of the table. rows: of printable cells. is_bold: the header's lines are."""
    shown = [(columns[number], number, width) for number, width in layout.widths.items()]
    if has_header:
        heads = _line_up([_wrapped(each.name, width) for each, _, width in shown], is_header=True)
        for line in map(functools.partial(_joined, shown), heads):
            yield f"\x1b[1m{line}\x1b[0m" if is_bold else line
        yield ("-" if ascii_only else "─") * table_width(layout)
    sign = "..." if ascii_only else CUT
    for row in rows:
        cells = [
            _wrapped(_cell(each, row[number], width, sign), width) for each, number, width in shown
        ]
        yield from map(functools.partial(_joined, shown), _line_up(cells))


def _line_up(cells: list[list[str]], *, is_header: bool = False) -> Iterator[tuple[str, ...]]:
    """Yield the lines of a row, whose cells begin in the first; those of a header end in the last.

    cells: of one line or more.
    """
    height = max(map(len, cells), default=0)
    if height == 1:
        return iter([tuple(cell[0] for cell in cells)])
    fillers = [[""] * (height - len(cell)) for cell in cells]
    pairs = zip(cells, fillers, strict=True)
    return zip(*(more + cell if is_header else cell + more for cell, more in pairs), strict=True)


def _joined(shown: Sequence[tuple[Column, int, int]], texts: Sequence[str]) -> str:
    parts = []
    for (column, _, width), text in zip(shown, texts, strict=True):
        blanks = " " * (width - cells_of(text))
        parts.append(blanks + text if column.kind == "right" else text + blanks)
    return (" " * GAP_COLUMNS).join(parts)


def _wrapped(text: str, width: int) -> list[str]:
    """Return the text in lines of this width: between words, or within one that is longer."""
    if cells_of(text) <= width:
        return [text]
    lines = [""]
    for word in re.findall(r"\s*\S+", text):
        if cells_of(lines[-1] + word) <= width:
            lines[-1] += word
            continue
        rest = word.lstrip() if lines[-1] else word
        while cells_of(rest) > width:
            part = _head(rest, width)
            lines.append(part)
            rest = rest[len(part) :]
        lines.append(rest)
    return lines if lines[0] else lines[1:]


def _head(text: str, width: int) -> str:
    """Return its first characters, one at least, that have this width."""
    length = width if text.isascii() else 1
    while not text.isascii() and length < len(text) and cells_of(text[: length + 1]) <= width:
        length += 1
    return text[: max(1, length)]


def cells_of(text: str) -> int:
    """Return the columns that a terminal needs for the text."""
    if text.isascii() or text.replace(CUT, ".").isascii():
        return len(text)
    # Imported here: most tables do not need it.
    from rich.cells import cell_len

    return cell_len(text)


def _cell(column: Column, text: str, width: int, sign: str) -> str:
    if column.kind == "command":
        return cut_command(text, width, sign)
    return cut(text, width, sign) if column.kind == "cut" else text


def cut_command(text: str, width: int, sign: str = CUT) -> str:
    """Return a command line that fits: its program's name tells more than the folder does."""
    if cut(text, width, sign) != text and text.startswith("/"):
        program, blank, words = text.partition(" ")
        text = program.rpartition("/")[2] + blank + words
    return cut(text, width, sign)


def cut(text: str, width: int, sign: str = CUT) -> str:
    """Return the beginning of a text that is too wide, with the sign at its end."""
    if cells_of(text) <= width:
        return text
    room = width - len(sign)
    head = _head(text, room) if room > 0 else ""
    # A wide character may leave one column free.
    return head + " " * (room - cells_of(head)) + sign


def table_width(layout: Layout) -> int:
    """Return the width of the table."""
    return sum(layout.widths.values()) + GAP_COLUMNS * (len(layout.widths) - 1)
