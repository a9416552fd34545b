"""Read unit files as systemd does: the values of a setting in force (systemd.syntax(7))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

# systemd's line ends (src/basic/fileio.c: categorize_eol), without U+2028 and similar.
END_OF_LINE = re.compile(r"[\n\r\0]")


def values(texts: Iterable[str], section: str, key: str) -> tuple[str, ...]:
    """Return all values of a list setting over these files; an empty one resets the list."""
    found: list[str] = []
    for text in texts:
        for where, name, value in assignments(text):
            if (where, name) == (section, key):
                found = [*found, value] if value else []
    return tuple(found)


def assignments(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield section, key and value of each assignment, with quotes, specifiers and $VAR."""
    section = ""
    for line in _logical_lines(text):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif "=" in line:
            key, _, value = line.partition("=")
            yield section, key.strip(), value.strip()


def _logical_lines(text: str) -> Iterator[str]:
    """Yield lines joined where a backslash ends one, without comments in between."""
    joined = ""
    for raw in END_OF_LINE.split(text.removeprefix("\ufeff")):
        line = raw.lstrip(" \t\n\r")
        if line.startswith(("#", ";")):
            continue
        line = joined + line
        if _ends_in_backslash(line):
            joined = line[:-1] + " "
            continue
        joined = ""
        if stripped := line.strip():
            yield stripped
    if joined.strip():
        yield joined.strip()


def _ends_in_backslash(line: str) -> bool:
    """Return whether the line ends in a backslash that is not escaped itself."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1
