"""Print the results in a folder of mutmut: a table of modules, then each survivor.

Mutants that change only the words of a message (their case, or XX around them) are counted apart.
"""

from __future__ import annotations

import ast
import copy
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# pytest: a failure, an internal error. mutmut: a test that does not end.
KILLED = {1, 3, 24, 36, 152, 255, -24, -9}
# Characters before and after a change.
CONTEXT = 60


@dataclass(frozen=True)
class Mutant:
    """Change of one function; is_text: only the words of a message differ."""

    name: str
    killed: bool
    is_text: bool
    change: str


class _WithoutWords(ast.NodeTransformer):
    """Removes from messages, recognised by their blanks, what mutmut may have changed."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        is_message = isinstance(node.value, str) and " " in node.value
        return ast.Constant(str(node.value).replace("XX", "").lower()) if is_message else node


def mutants(file: Path) -> Iterator[Mutant]:
    """Yield the tested mutants of one module. file: mutmut's FILE.py.meta."""
    found = json.loads(file.read_text())["exit_code_by_key"]
    tree = ast.parse(file.with_suffix("").read_text())
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for name, code in found.items():
        if code is None:
            continue
        changed = functions[name.rpartition(".")[2]]
        original = functions[changed.name.rpartition("_")[0] + "_orig"]
        is_text = _code(_without_words(original)) == _code(_without_words(changed))
        yield Mutant(name, code in KILLED, is_text, _change(_code(original), _code(changed)))


def _change(before: str, after: str) -> str:
    """Return the difference, with its surroundings in the line."""
    start = _same(before, after)
    rest = min(len(before), len(after)) - start
    end = _same(before[::-1][:rest], after[::-1][:rest])
    head = before[before.rfind("\n", 0, start) + 1 : start].lstrip()[-CONTEXT:]
    tail = before[len(before) - end :].partition("\n")[0][:CONTEXT]
    changed = (text[start : len(text) - end] for text in (before, after))
    return "{}[-{}-]{{+{}+}}{}".format(head, *changed, tail)


def _same(one: str, other: str) -> int:
    """Return the length of the common prefix."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _without_words(function: ast.FunctionDef) -> ast.FunctionDef:
    visited = _WithoutWords().visit(copy.deepcopy(function))
    assert isinstance(visited, ast.FunctionDef)
    return visited


def _code(function: ast.FunctionDef) -> str:
    return ast.unparse(function).replace(f"def {function.name}(", "def it(")


def main(folder: Path) -> None:
    """Print table and survivors."""
    survivors, row = [], "{:34} {:>7} {:>7} {:>9} {:>8} {:>6}"
    print(row.format("module", "mutants", "killed", "survived", "percent", "texts"))
    for file in sorted(folder.glob("**/*.py.meta")):
        tested = list(mutants(file))
        counted = [mutant for mutant in tested if not mutant.is_text]
        if not counted:
            continue
        killed = sum(mutant.killed for mutant in counted)
        survivors += [mutant for mutant in counted if not mutant.killed]
        name = str(file.relative_to(folder)).removesuffix(".meta")
        percent, texts = 100 * killed / len(counted), len(tested) - len(counted)
        row_of = (name, len(counted), killed, len(counted) - killed, f"{percent:.1f}", texts)
        print(row.format(*row_of))
    for mutant in survivors:
        print(f"{mutant.name}\n    {mutant.change}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
