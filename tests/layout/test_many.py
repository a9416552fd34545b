"""Thousands of launches: all moved, none hangs, and nothing remains."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from volume import IS_LONG

from .conftest import Build
from .places import told, wait_until_none, where

IN_A_ROW = 10_000 if IS_LONG else 300
AT_ONCE = 200 if IS_LONG else 100
# For each launch, or for all at once.
SECONDS = 60
# The launcher used here, by which its processes are found.
NAME = "ksmrun-many"


@pytest.fixture(params=[("launch",), ("launch_as_nobody",), ("launch", "-m32")], ids=" ".join)
def command(request: pytest.FixtureRequest, launcher: str, build: Build, folder: Path) -> list[str]:
    copy = str(shutil.copy(Path(launcher), folder / NAME))
    words, *options = request.param
    launch = request.getfixturevalue(words)
    return [*(copy if word == launcher else word for word in launch), build("where", *options)]


def descriptors() -> list[str]:
    return sorted(file.name for file in Path("/proc/self/fd").iterdir())


@contextmanager
def nothing_stays() -> Iterator[None]:
    before = descriptors(), psutil.Process().children()
    yield
    assert (descriptors(), psutil.Process().children()) == before
    wait_until_none(NAME)


def test_in_a_row(command: list[str]) -> None:
    expected = where(*command)
    with nothing_stays():
        for number in range(IN_A_ROW):
            assert where(*command) == expected, number


def test_at_once(command: list[str]) -> None:
    """With far fewer processors; five times."""
    expected = where(*command)
    with nothing_stays():
        for _ in range(5):
            started = [
                subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(AT_ONCE)
            ]
            outputs = [process.communicate(timeout=SECONDS)[0] for process in started]
            assert [told(output) for output in outputs] == [expected] * AT_ONCE
