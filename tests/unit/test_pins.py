"""What a release is built of and brings is pinned by hash, and is what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = next(each for each in Path(__file__).parents if (each / "pyproject.toml").is_file())
PACKAGE = ROOT / "native/package"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BUILT_WITH = (PACKAGE / "requirements.in").read_text().splitlines()


def names(requirements: Iterable[str]) -> set[str]:
    return {re.split(r"[^\w-]", each)[0].lower() for each in requirements if each[:1] not in "#"}


@pytest.mark.parametrize(
    ("file", "wanted"),
    [("requirements.txt", BUILT_WITH), ("wheelhouse.txt", PROJECT["dependencies"])],
)
def test_all_are_pinned(file: str, wanted: list[str]) -> None:
    """To do: the command in the head of that file."""
    text = (PACKAGE / file).read_text()
    pinned = re.findall(r"^([\w-]+)==(.*\\\n)( +--hash=sha256:[0-9a-f]{64}.*\n)+", text, re.M)
    lines = [line for line in text.splitlines() if re.match(r"\w", line)]
    assert len(pinned) == len(lines) >= len(wanted)
    assert names(wanted) <= {name for name, *_ in pinned}
    # Not where they were found.
    assert "://" not in text
