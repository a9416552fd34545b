"""Each folder of native/ includes only what stands below it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"
# From below to above: what a folder includes has a row before its own.
ALLOWED: dict[str, set[str]] = {
    "third_party": set(),
    "common": set(),
    "inject": {"common"},
    "shim": {"common"},
    "layout": {"common", "inject"},
    # filter.h: which system calls a seccomp filter allows.
    "exec": {"common", "layout", "shim"},
    "attach": {"common", "inject", "shim"},
    # Its own trials of the kernel, and a group's key.
    "oci": {"common", "exec", "layout", "third_party"},
    # A key file that only its user can read is written as for a container.
    "slurm": {"common", "layout", "oci"},
    "estimate": {"common", "third_party"},
    "front": {"common"},
}
# Made by CMake.
MADE = {"completion_table.inc"}
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


def included_folder(file: Path, name: str) -> str:
    """Return the folder of native/ in which an included file is."""
    for base in (file.parent, NATIVE / "third_party"):
        found = (base / name).resolve()
        if found.is_file():
            return found.relative_to(NATIVE.resolve()).parts[0]
    raise AssertionError(f"{file}: {name} is in neither its own folder nor the one it names")


@pytest.mark.parametrize("folder", [name for name in ALLOWED if name != "third_party"])
def test_a_folder_includes_what_is_below_it(folder: str) -> None:
    files = [*(NATIVE / folder).glob("*.[ch]")]
    assert files
    for file in files:
        for name in set(INCLUDE.findall(file.read_text())) - MADE:
            found = included_folder(file, name)
            assert found in ALLOWED[folder] | {folder}, f"{folder}/{file.name} includes {name}"


def test_there_is_no_circle() -> None:
    below: set[str] = set()
    for folder, allowed in ALLOWED.items():
        assert allowed <= below, f"{folder} includes what comes after it"
        below.add(folder)
    folders = {path.relative_to(NATIVE).parts[0] for path in NATIVE.rglob("*.[ch]")}
    assert folders == below
