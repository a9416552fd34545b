"""Names that others chose, shown and written as JSON."""

from __future__ import annotations

import ast
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ksmrun
from ksmrun.commands.output import print_file, print_json, print_line, say
from ksmrun.support.words import for_json, printable, utf8

# Includes lone surrogates, which represent undecodable bytes (PEP 383).
ANY_TEXT = st.text(st.characters(exclude_categories=()))
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
PRINTING = ("output.py",)
COMMANDS = Path(ksmrun.__file__).parent / "commands"


@given(ANY_TEXT)
def test_nothing_steers_a_terminal(text: str) -> None:
    found = printable(text)
    assert {unicodedata.category(each) for each in found}.isdisjoint(("Cc", "Cf", "Cs", "Zl", "Zp"))
    assert len(f"{found}.".splitlines()) == 1
    found.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb\n", r"a\x1b[31mb\x0a"),
        ("\x7f\x85\x9b", r"\x7f\x85\x9b"),
        ("\u2028\u202e", r"\u2028\u202e"),
        ("\udcff\ud800", r"\xff\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("grün 日本 😀 a\\b", "grün 日本 😀 a\\b"),
    ],
)
def test_how_it_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(
    st.recursive(
        ANY_TEXT | st.floats(), lambda each: st.lists(each) | st.dictionaries(ANY_TEXT, each)
    )
)
def test_json_for_strict_readers(value: object) -> None:
    text = json.dumps(for_json(value), ensure_ascii=False, allow_nan=False)
    # Neither UTF-8 nor the readers of other languages allow lone surrogates.
    text.encode()


def test_what_is_utf_8_stays() -> None:
    assert utf8("a\x1b\u2028😀\udc80") == "a\x1b\u2028😀\\x80"


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    name = f"x\n\x1b]0;y\x07{BIDI}\udcff"
    print_line(name)
    say(name)
    print_json("s", name=name)
    print_file("a\nb\x1b\n")
    found = capsys.readouterr()
    for text in (found.out.replace("a\nb\x1b\n", ""), found.err):
        assert all(each.isprintable() or each == "\n" for each in text), text
    assert found.err == f"ksmrun: {printable(name)}\n"
    assert "a\nb\x1b\n" in found.out, "into a file it goes as it is"
    document = found.out.partition("{")[2].rpartition("}")[0]
    assert json.loads("{" + document + "}")["name"].endswith("\\xff")


@pytest.mark.parametrize("file", sorted(COMMANDS.glob("*.py")), ids=lambda file: str(file.name))
def test_only_output_prints(file: Path) -> None:
    """Elsewhere a name could be printed raw; a literal text is no name."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
            words = [*node.args, *(each.value for each in node.keywords)]
            is_fixed = all(isinstance(each, ast.Constant | ast.Name) for each in words)
            assert file.name in PRINTING or is_fixed, f"{file}:{node.lineno}"
