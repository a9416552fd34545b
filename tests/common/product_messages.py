"""Collect the messages of the product from its source, for a test to list and judge.

Python: the texts of errors, findings and alerts (what, todo), pairs of texts, and other literals
that are sentences. C: string literals that are sentences. What is filled in is shown in braces, or
as printf has it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

# Where (what, todo) stand among the arguments.
ERRORS = dict.fromkeys(("KsmrunError", "UsageError", "Refusal"), slice(0, 2))
FINDINGS = dict.fromkeys(("Cause", "CheckRow", "Row"), slice(2, 4))
PLACES = {**ERRORS, **FINDINGS, "say": slice(-1, None)}
# Literals with what stands between the parts of one, and comments, in which they are none.
LITERAL = re.compile(
    r'(?P<text>"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*)|/\*.*?\*/|//[^\n]*', re.DOTALL
)
PART = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
C_FOLDERS = ("common", "exec", "layout", "oci", "attach", "estimate", "front")
# Other literals with fewer words are formats, names and parts of a message.
WORDS_MIN = 3


def python_messages(file: Path) -> Iterator[tuple[str, ...]]:
    """Yield the parts of each message: (what, todo), or one line."""
    tree = ast.parse(file.read_text())
    seen = set(map(id, _not_shown(tree)))
    # From the outside in, so that the parts of a message come after it.
    for node in ast.walk(tree):
        parts = _parts(node)
        if not parts and _is_text(node) and id(node) not in seen and _is_sentence(_text(node)):
            parts = (node,)
        if parts:
            seen.update(id(each) for part in parts for each in ast.walk(part))
            yield tuple(map(_text, parts))


def literals(file: Path) -> Iterator[str]:
    """Yield the texts of a Python file that are no docstrings, with {} for what is filled in."""
    within = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Expr):
            within.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            within.update(node.values)
            parts = (each.value if isinstance(each, ast.Constant) else "{}" for each in node.values)
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in within:
            yield node.value


def c_messages(file: Path) -> Iterator[tuple[str, ...]]:
    """Yield each literal that is a sentence."""
    for found in LITERAL.finditer(file.read_text()):
        text = "".join(PART.findall(found["text"] or "")).removesuffix("\\n")
        if "\\n" not in text and len(re.findall(r"[A-Za-z]+(?= |$)", text)) >= WORDS_MIN:
            yield (text,)


def collected(root: Path) -> dict[str, list[tuple[str, ...]]]:
    """Return the messages by file, as far as more than what is filled in is known of them."""
    found = {}
    for file in sorted((root / "ksmrun").rglob("*.py")):
        # Help texts are no messages.
        if file.parent.name == "options" and file.name != "parse.py":
            continue
        found[str(file.relative_to(root))] = list(python_messages(file))
    for folder in C_FOLDERS:
        for file in sorted((root / "native" / folder).glob("*.c")):
            found[str(file.relative_to(root))] = list(c_messages(file))
    return {
        name: kept
        for name, messages in found.items()
        if (kept := sorted({each for each in messages if any(map(_is_known, each))}))
    }


def _parts(node: ast.AST) -> Sequence[ast.AST]:
    """Return the parts of a message, if this node makes one."""
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        named = {each.arg: each.value for each in node.keywords}
        if name == "Condition" and "what" in named:
            return named["what"], named["todo"]
        return node.args[PLACES[name]] if name in PLACES else ()
    # Pairs of sentences are lines of a command's output.
    if (
        isinstance(node, ast.Tuple)
        and len(node.elts) == 2
        and all(
            _is_text(each) and re.match(r"(?![A-Z][a-z]).* ", _text(each)) for each in node.elts
        )
    ):
        return node.elts
    return ()


def _not_shown(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what is no text by itself: docstrings, parts of formatted texts, lists of words."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            yield node.value
        elif isinstance(node, ast.Attribute) and node.attr == "split":
            yield from ast.walk(node.value)
        elif isinstance(node, ast.JoinedStr):
            yield from (each for each in node.values if isinstance(each, ast.Constant))


def _is_sentence(text: str) -> bool:
    return (
        # Neither code nor columns.
        not re.search(r"\n|; \w+ = |\{ \w|  ", text)
        and len(re.findall(r"[A-Za-z]+(?=[ ,;:]|$)", text)) > WORDS_MIN
    )


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _is_known(part: str) -> bool:
    return re.search(r"[A-Za-z]", re.sub(r"\{[^}]*\}", "", part)) is not None


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.FormattedValue):
        return f"{{{_short(node.value)}}}"
    if isinstance(node, ast.IfExp):
        return f"{_text(node.body)} | {_text(node.orelse)}"
    return f"{{{_short(node)}}}"


def _short(node: ast.AST) -> str:
    return re.sub(r"\W+", "_", ast.unparse(node)).strip("_")[:30]
