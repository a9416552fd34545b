"""Texts on topics, ksmrun/help/*.md, and the manual pages made of them.

They use a small part of Markdown: one heading #, headings ##, paragraphs, lists with -, indented
lines and tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources

from ksmrun.options.page import Lines, Page, Terms


def texts() -> dict[str, str]:
    """Return the Markdown of each topic, sorted by name."""
    folder = resources.files("ksmrun").joinpath("help")
    if not folder.is_dir():
        return {}
    files = [each for each in folder.iterdir() if each.name.endswith(".md")]
    return {
        file.name.removesuffix(".md"): file.read_text(encoding="utf-8")
        for file in sorted(files, key=lambda each: each.name)
    }


def title_of(text: str) -> str:
    """Return the heading of the whole text."""
    return text.partition("\n")[0].removeprefix("# ")


def page_of(topic: str, text: str) -> Page:
    """Return a topic's text as a manual page."""
    title = title_of(text)
    parts = re.split(r"^## (.*)\n", text.partition("\n")[2], flags=re.MULTILINE)
    sections = [("DESCRIPTION", tuple(_blocks(parts[0])))]
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        sections.append((heading.upper(), tuple(_blocks(body))))
    sections.append(("SEE ALSO", ("ksmrun(1), ksmrun(7)",)))
    return Page(f"ksmrun-{topic}", 7, title[0].lower() + title[1:], tuple(sections))


def _blocks(text: str) -> Iterator[str | Terms | Lines]:
    for block in re.split(r"\n{2,}", text.strip("\n")):
        lines = block.split("\n")
        if lines[0].startswith("    "):
            yield Lines(tuple(line.removeprefix("    ") for line in lines))
        elif lines[0].startswith("|"):
            yield _table(lines)
        elif block:
            yield from map(_words, re.split(r"\n(?=- |\d+\. )", block))


def _table(lines: list[str]) -> Terms:
    """Return a table as terms, so that it fits any width; lines[1] divides head and rows."""
    head, _, *rows = [
        [_words(cell).replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
    ]
    found = []
    for term, *cells in rows:
        named = zip(head[1:], cells, strict=True)
        text = "; ".join(f"{name}: {cell}" if cells[1:] else cell for name, cell in named if cell)
        found.append((term, text))
    return Terms(tuple(found))


def _words(text: str) -> str:
    """Return text on one line, without emphasis."""
    return " ".join(text.replace("**", "").split())
