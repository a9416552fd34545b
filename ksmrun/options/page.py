"""A manual page as data, rendered as roff for man(1) and as plain text for `ksmrun help`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ksmrun.model.frozen import dataclass
from ksmrun.options.show import wrapped

INDENT = "    "


@dataclass(frozen=True)
class Terms:
    """Definition list. rows: terms with their texts."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Lines:
    """Lines to be shown as they are."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """Manual page. sections: headings with paragraphs, definition lists and lines."""

    name: str
    section: int
    summary: str
    sections: tuple[tuple[str, tuple[str | Terms | Lines, ...]], ...]

    @property
    def reference(self) -> str:
        """Return the name as other pages have it: ksmrun.toml(5)."""
        return f"{self.name}({self.section})"

    @property
    def file(self) -> str:
        """Return its path below share/man."""
        return f"man{self.section}/{self.name}.{self.section}"


def plain(page: Page, columns: int) -> Iterator[str]:
    """Yield the lines of plain text."""
    yield "NAME"
    yield from _indented(f"{page.name} - {page.summary}", columns, INDENT)
    for heading, blocks in page.sections:
        yield ""
        yield heading
        for index, block in enumerate(blocks):
            if index:
                yield ""
            if isinstance(block, str):
                yield from _indented(block, columns, INDENT)
            elif isinstance(block, Lines):
                yield from (f"{INDENT}{line}".rstrip() for line in block.lines)
            else:
                for term, text in block.rows:
                    yield f"{INDENT}{term}"
                    yield from _indented(text, columns, INDENT * 2)


def _indented(text: str, columns: int, indent: str) -> Iterator[str]:
    for line in wrapped(text, columns - len(indent)):
        yield indent + line


def roff(page: Page, version: str) -> str:
    """Return the page for man(1), in the macros of man(7)."""
    lines = [
        ".\\\" Made of ksmrun's table of options.",
        f'.TH {_escaped(page.name.upper())} {page.section} "" "ksmrun {version}"',
        ".nh",
        ".ad l",
        ".SH NAME",
        f"{_escaped(page.name)} \\- {_escaped(page.summary)}",
    ]
    for heading, blocks in page.sections:
        lines.append(f".SH {heading}")
        for index, block in enumerate(blocks):
            if isinstance(block, str):
                lines += [*([".PP"] if index else []), _line(block)]
            elif isinstance(block, Lines):
                lines += [".PP", ".nf", ".RS 4", *map(_line, block.lines), ".RE", ".fi"]
            else:
                for term, text in block.rows:
                    lines += [".TP", f"\\fB{_escaped(term)}\\fR", _line(text)]
    return "\n".join(lines) + "\n"


def _line(text: str) -> str:
    """Return one line of text: a dot or quote at its beginning is no request."""
    return re.sub(r"^([.'])", r"\\&\1", _escaped(text))


def _escaped(text: str) -> str:
    """Return text with what roff takes for something else (groff_char(7))."""
    names = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}
    return "".join(names.get(each, each) for each in text)
