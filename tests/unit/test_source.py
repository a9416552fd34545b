"""Slips in the product's source that no linter of ours finds."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ksmrun

PACKAGE = Path(ksmrun.__file__).parent
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def stray_strings(tree: ast.AST) -> list[int]:
    """Return the lines of strings that are statements and no docstrings."""
    nodes = list(ast.walk(tree))
    docstrings = [node.body[0] for node in nodes if isinstance(node, DOCUMENTED) and node.body]
    return [
        node.lineno
        for node in nodes
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant | ast.JoinedStr)
        and not (isinstance(node.value, ast.Constant) and node in docstrings)
    ]


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: str(f.name))
def test_no_string_is_lost(file: Path) -> None:
    """A string on the line after the end of an expression is part of no message."""
    assert not stray_strings(ast.parse(file.read_text()))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('"Doc."\nX = "a "\n"b"', [3]),
        ('def f():\n    """Doc."""\n    return "a "\n    f"{b}"', [4]),
        ("class A:\n    'Doc.'\n    ...", [3]),
        ('X = (\n    "a "\n    "b"\n)', []),
    ],
)
def test_which_are_lost(text: str, lines: list[int]) -> None:
    assert stray_strings(ast.parse(text)) == lines
