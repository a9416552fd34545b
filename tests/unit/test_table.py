"""Tables at any width: what is shown is whole, what is not is named."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ksmrun.commands import output
from ksmrun.commands.output import print_table
from ksmrun.commands.plain import ascii_only_by, in_ascii
from ksmrun.commands.table import (
    TEXT_COLUMNS_MIN,
    Column,
    Style,
    cells_of,
    cut_command,
    draw,
    fit,
    table_width,
    terminal_columns,
)
from ksmrun.options.output import Format

Kind = Literal["left", "right", "name", "fold", "cut", "command"]
WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
TEXT = st.lists(WORD, min_size=1, max_size=30).map(" ".join)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Column], list[list[str]]]:
    """Columns of all kinds, of which the first is always shown, and rows for them."""
    names = draw(st.lists(WORD, min_size=1, max_size=12, unique=True))
    kinds = draw(st.tuples(*[st.sampled_from(get_args(Kind)) for _ in names]))
    columns = [
        Column(name, kind, number)
        for number, (name, kind) in enumerate(zip(names, kinds, strict=True))
    ]
    cells = st.tuples(*[TEXT if column.is_text else WORD for column in columns]).map(list)
    return columns, draw(st.lists(cells, min_size=1, max_size=5))


def lines_of(columns: Sequence[Column], rows: Sequence[Sequence[str]], style: Style) -> list[str]:
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        print_table(columns, rows, style)
    return text.getvalue().splitlines()


@pytest.fixture(scope="module", autouse=True)
def no_columns() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield


@contextlib.contextmanager
def at(width: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        yield


@given(tables(), st.sampled_from([40, 60, 80, 100, 200]))
def test_what_is_shown_is_whole_and_what_is_not_is_named(
    table: tuple[list[Column], list[list[str]]], width: int
) -> None:
    columns, rows = table
    sizes = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    layout = fit(columns, sizes, width)
    # Forty columns hold the first one here.
    assert table_width(layout) <= width
    shown = [columns[i].name for i in layout.widths]
    assert sorted([*shown, *layout.left_out]) == sorted(column.name for column in columns)
    for i, columns_wide in layout.widths.items():
        needed = min(TEXT_COLUMNS_MIN, sizes[i]) if columns[i].is_text else sizes[i]
        assert columns_wide >= max(needed, len(columns[i].name))
    # The ones that went have higher numbers than those that stayed.
    assert all(columns[i].priority < len(columns) - len(layout.left_out) for i in layout.widths)
    with at(width):
        lines = lines_of(columns, rows, Style())
    if layout.left_out:
        note = lines.pop()
        assert note.startswith(f"not shown at {width} columns: {', '.join(layout.left_out)}; to do")
        # Advised only where the command has it.
        assert "--format" not in note
        with at(width):
            assert "--format tsv" in lines_of(columns, rows, Style(is_chosen=True)).pop()
    assert all(cell_len(line) <= width for line in lines)
    text = "\n".join(lines)
    for i in layout.widths:
        if not columns[i].is_text:
            assert all(row[i] in text for row in rows)


@given(tables())
def test_a_wider_terminal_never_shows_less(table: tuple[list[Column], list[list[str]]]) -> None:
    columns, rows = table
    sizes = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    before = 0
    for width in range(20, 220, 20):
        shown = len(fit(columns, sizes, width).widths)
        assert shown >= before
        before = shown


@given(tables(), st.integers(20, 200))
def test_tab_separated_lines_have_all_of_it(
    table: tuple[list[Column], list[list[str]]], width: int
) -> None:
    columns, rows = table
    with at(width):
        lines = lines_of(columns, rows, Style(Format.TSV))
        assert lines_of(columns, rows, Style(Format.TSV, has_header=False)) == lines[1:]
    assert [line.split("\t") for line in lines] == [[each.name for each in columns], *rows]


def test_a_cell_is_one_field_of_one_line() -> None:
    (line,) = lines_of([Column("a", "left")], [["x\ty\nz"]], Style(Format.TSV, has_header=False))
    assert line == "x\\x09y\\x0az"


def test_names_of_columns_steer_no_terminal() -> None:
    for style in (Style(), Style(Format.TSV)):
        text = "\n".join(lines_of([Column("a\x1b[31mb\tc", "left")], [["1"]], style))
        assert "a\\x1b[31mb\\x09c" in text


@given(tables())
def test_without_head(table: tuple[list[Column], list[list[str]]]) -> None:
    columns, rows = table
    whole, bare = (lines_of(columns, rows, Style(has_header=has)) for has in (True, False))
    assert whole[-len(bare) :] == bare
    assert len(whole) == len(bare) + 2


@pytest.mark.parametrize("asked", ["", "0", "-5", "wide", "10001", "9" * 5000, "²"])
def test_columns_that_are_none(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        monkeypatch.setenv("COLUMNS", asked)
        assert terminal_columns() == 200


def test_neither_the_terminal_nor_colours_change_what_is_piped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns, rows = [Column("PID", "right"), Column("command", "command")], [["1", "x " * 300]]
    seen = set()
    for term in ("dumb", "unknown", "xterm-256color", ""):
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "LANG"):
            monkeypatch.setenv("TERM", term)
            monkeypatch.setenv(name, "1")
            seen.add("\n".join(lines_of(columns, rows, Style())))
            monkeypatch.delenv(name)
    (text,) = seen
    assert "\x1b" not in text
    assert max(map(len, text.split("\n"))) == 200


@given(st.text(), st.integers(20, 80))
def test_in_the_c_locale_all_is_ascii(text: str, width: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        patch.setattr(output, "is_ascii_only", lambda: True)
        columns = [Column("µs", "right", 1), Column("±", "fold"), Column("x", "cut", 2)]
        assert "".join(lines_of(columns, [["1", text, text]], Style())).isascii()


def test_which_locale_it_is() -> None:
    assert ascii_only_by({})
    assert ascii_only_by({b"LANG": b"C"})
    assert ascii_only_by({b"LANG": b"en_US.UTF-8", b"LC_ALL": b"POSIX"})
    assert ascii_only_by({b"LANG": b"de_DE.UTF-8", b"LC_CTYPE": b"C"})
    assert not ascii_only_by({b"LANG": b"C", b"LC_ALL": b"C.UTF-8"})
    assert not ascii_only_by({b"LANG": b"de_DE.UTF-8", b"LC_ALL": b""})
    assert in_ascii("3 ± 1 µs …") == "3 +/- 1 us ..."
    assert in_ascii("日") == "\\u65e5"


def test_a_command_that_is_cut_keeps_its_name() -> None:
    command = "/opt/a/very/long/folder/of/programs/server --port 8303"
    assert cut_command(command, 80) == command
    assert cut_command(command, 20) == "server --port 8303"
    assert cut_command(command, 10) == "server --…"
    assert cut_command("/opt/" + "x" * 90, 10) == "x" * 9 + "…"


@given(tables(), st.sampled_from([20, 40, 80, 200]))
def test_lines_are_those_that_rich_draws(
    table: tuple[list[Column], list[list[str]]], width: int
) -> None:
    columns, rows = table
    sizes = [max(cells_of(row[i]) for row in rows) for i in range(len(columns))]
    layout = fit(columns, sizes, width)
    kinds = [columns[i].kind for i in layout.widths]
    if {"cut", "command"} & {*kinds}:
        return
    by_rich = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for i, cells in layout.widths.items():
        justify: Literal["left", "right"] = "right" if columns[i].kind == "right" else "left"
        head = Text(columns[i].name)
        by_rich.add_column(head, justify=justify, width=cells, overflow="fold")
    for row in rows:
        by_rich.add_row(*(Text(row[i]) for i in layout.widths))
    text = io.StringIO()
    Console(file=text, width=table_width(layout), height=24, highlight=False).print(by_rich)
    assert text.getvalue().splitlines() == [*draw(columns, rows, layout)]
