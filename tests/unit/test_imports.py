"""Each room imports only what the design's table allows."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import ksmrun

PACKAGE = Path(ksmrun.__file__).parent
ALL = {
    "model",
    "facts",
    "plan",
    "launch",
    "attach",
    "observe",
    "host",
    "wrap",
    "experiment",
    "report",
    "watch",
    "commands",
    "options",
}
ALLOWED = {
    "__init__": set(),
    "__main__": {"cli", "commands"},
    "model": set(),
    "support": {"model"},
    "options": {"model", "plan"},
    "facts": {"model"},
    "plan": {"model"},
    "launch": {"model", "facts", "plan", "host"},
    "attach": {"model", "facts", "plan", "host"},
    "observe": {"model", "facts"},
    "host": {"model", "facts"},
    "wrap": {"model", "plan", "options"},
    "experiment": {"model", "facts", "plan", "launch", "observe", "host"},
    "report": {"model"},
    "watch": {"model", "options", "facts", "plan", "observe", "host", "attach"},
    "commands": ALL - {"commands"},
    "cli": {"model", "options", "commands", "usage"},
    "usage": {"model"},
}
# typer takes longer to import than everything else together, and only these need it.
TYPER_ROOMS = {"cli", "commands", "usage"}


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: str(f.relative_to(PACKAGE))
)
def test_imports_follow_the_table(file: Path) -> None:
    here = room(file)
    everywhere = set() if here in ("__init__", "__main__", "model") else {"support"}
    for name in imports(file):
        parts = name.split(".")
        if parts[0] == "ksmrun" and len(parts) > 1:
            there = parts[1]
            if there in ("__version__", here):
                continue
            assert there in ALLOWED[here] | everywhere, f"{here} imports {name}"
        if parts[0] == "typer":
            assert here in TYPER_ROOMS, f"{here} imports typer"


def test_no_modules_import_each_other() -> None:
    """Not by way of others, nor for types."""
    modules = {
        ".".join(("ksmrun", *file.relative_to(PACKAGE).with_suffix("").parts)): file
        for file in PACKAGE.rglob("*.py")
    }
    graph = {name: imports(file) & modules.keys() for name, file in modules.items()}
    assert tuple(TopologicalSorter(graph).static_order())


def test_the_installed_package_is_tested() -> None:
    """Not the source tree, in which the launcher is missing."""
    assert (PACKAGE / "libexec" / "ksmrun-exec").exists()


ROOT = Path(__file__).parents[2]
README = (ROOT / "ksmrun" / "README.md").read_text()


def test_the_readme_has_the_same_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", README.partition("## ")[0], re.MULTILINE)
    table = {name: set(re.findall(r"`(\w+)`", allowed)) for name, allowed in rows}
    assert table.pop("commands") == set()
    assert table == {name: ALLOWED[name] for name in {*ALL, "support"} - {"commands"}}


def test_files_that_the_readme_names_are_there() -> None:
    for name in re.findall(r"`((?:\w+/)*\w+\.(?:py|md)|(?:\w+/)+)`", README):
        at = ROOT if name.split("/")[0] in ("native", "tests") else ROOT / "ksmrun"
        assert (at / name).exists(), name
