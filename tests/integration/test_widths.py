"""Every table in consoles of several widths: nothing falls off the edge without a word."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable

import pytest
from rich.cells import cell_len

from .conftest import Run, Start

# What the table is looked at for, always shown; and one that is a figure of the last column.
TABLES = {
    "ps": (["PID", "command", "merged", "profit"], ["ps"]),
    "by": (["processes", "unit", "merged", "profit"], ["ps", "--by", "unit"]),
    "estimate": (["MiB of", "in", "memory", "merged", "layout"], ["estimate"]),
    "host": (["tunable", "value", "what it is for"], ["host", "show", "--seconds=0"]),
    "check": (["item", "found", "to do"], ["check", "--", "sleep", "1"]),
    "top": (["PID", "command", "merged", "profit"], ["top", "--once"]),
}
NAMES = {
    "ps": "PID command merged MiB zero MiB profit MiB RSS MiB PSS MiB maps headroom by",
    "estimate": "MiB of in memory zeros across processes within one unique when merged "
    "with one layout",
    "host": "tunable value default what it is for",
    "top": "PID command merged zero profit RSS PSS maps headroom",
}
Console = Callable[..., list[str]]


@pytest.fixture
def console(ksmrun: str) -> Console:
    """Run a command in a terminal of a width, and return what it printed, line by line."""

    def call(width: int, *words: str, **variables: str) -> list[str]:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        environment |= {"TERM": "linux", "LANG": "C.UTF-8", "LC_ALL": "", **variables}
        process = subprocess.Popen(
            [ksmrun, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
        )
        os.close(theirs)
        data = b""
        with open(ours, "rb", buffering=0) as terminal:  # noqa: PTH123
            try:
                while part := terminal.read(65536):
                    data += part
            except OSError:
                # EIO: the last one that had it open is gone.
                pass
        process.wait()
        return re.sub(r"\x1b\[[0-9;]*m", "", data.decode()).replace("\r", "").split("\n")

    return call


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("table", TABLES)
def test_the_edge_takes_nothing(console: Console, start: Start, table: str, width: int) -> None:
    pid = start("/bin/cat", *["-"] * 200).pid
    always, words = TABLES[table]
    if table == "estimate":
        words = [*words, str(pid)]
    lines = console(width, *words)
    rows = _table(lines)
    assert all(cell_len(line) <= width for line in rows), "\n".join(lines)
    text = " ".join(lines)
    heads = " ".join(" ".join(line.split()) for line in rows[:4])
    for name in always:
        assert all(word in heads for word in name.split()), "\n".join(lines)
    # A column that is missing is named.
    for name in NAMES.get(table, "").split():
        assert name in heads or re.search(rf"not shown at {width} columns:.*\b{name}\b", text)
    if table in ("ps", "top"):
        (row,) = [line for line in rows if line.lstrip().startswith(str(pid))]
        assert "cat - -" in row


def _table(lines: list[str]) -> list[str]:
    """From its first line to its last: what comes before and after is sentences."""
    rule = next((number for number, line in enumerate(lines) if set(line) == {"─"}), None)
    # That of `top` comes last, after a line of its own.
    if rule is None:
        return lines[lines.index("") + 1 :]
    sentence = re.compile(r"$|\d+ process|command line:|not shown|A program|Nothing|saved:")
    last = next(
        number for number, line in enumerate(lines) if number > rule and sentence.match(line)
    )
    return lines[:last]


def test_columns_is_obeyed_on_a_dumb_terminal_too(console: Console, start: Start) -> None:
    start("cat")
    for term in ("dumb", "linux"):
        lines = console(120, "ps", TERM=term, COLUMNS="60")
        assert any(line.startswith("not shown at 60 columns") for line in lines)
    lines = console(200, "ps", TERM="dumb")
    assert not any("not shown" in line for line in lines)


def test_ascii_in_the_c_locale(console: Console, start: Start) -> None:
    start("cat")
    for variables in ({"LANG": "C"}, {"LANG": "POSIX"}, {"LC_ALL": "C"}):
        assert "".join(console(80, "ps", **variables)).isascii()
        assert "".join(console(80, "host", "show", **variables)).isascii()


@pytest.mark.parametrize(
    "words", [["ps"], ["host", "show", "--seconds=0"], ["check"], ["wrap", "list"]]
)
def test_tab_separated(run: Run, start: Start, words: list[str]) -> None:
    start("cat")
    done = run(*words, "--format", "tsv")
    head, *rows = [line.split("\t") for line in done.stdout.splitlines() if line] or [[]]
    assert {len(row) for row in rows} <= {len(head), 3}
    bare = run(*words, "--format", "tsv", "--no-header").stdout
    assert "\t".join(head) not in bare.splitlines()
    assert run(*words, "--format", "json").stdout.startswith("{")
    assert run(*words, "--format", "yaml").returncode == 2
