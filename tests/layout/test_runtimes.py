"""Languages with their own threads, stacks, signals and garbage collectors."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS

from .conftest import HERE

pytestmark = pytest.mark.long_run
# How each is built in a folder, how it is started there, and its output.
RUNTIMES = {
    "go": ("go build -o go runtime.go", "./go", "invalid memory address"),
    "rust": ("rustc -g -o rust runtime.rs", "./rust", "210000 200000 true Some(7)\n"),
    "node": ("true", "node runtime.js", "1 8177780 RangeError 5 child\n"),
    "java": ("javac Runtime.java", "java -cp . Runtime", "119900 200 StackOverflowError"),
}

SUM = "(progn (princ (+ 40 2)) (finish-output) (sb-ext:exit))"


def outcome(command: list[str], folder: Path) -> tuple[int, str, str]:
    environment = os.environ | {"RUST_BACKTRACE": "1"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=LAST_RESORT_SECONDS,
        check=False,
    )
    # Newer versions of Rust print a thread's number.
    return done.returncode, done.stdout, re.sub(r"' \(\d+\)", "'", done.stderr)


def build(command: str, folder: Path) -> None:
    for source in (HERE / "programs").glob("[rR]untime.*"):
        (folder / source.name).write_bytes(source.read_bytes())
    environment = {"GO111MODULE": "off", "GOCACHE": str(folder / "go-cache")}
    subprocess.run(command.split(), cwd=folder, env=os.environ | environment, check=True)


@pytest.mark.parametrize("name", RUNTIMES)
def test_runtime(launch: list[str], tmp_path: Path, name: str) -> None:
    compile_, start, expected = RUNTIMES[name]
    build(compile_, tmp_path)
    direct = outcome(start.split(), tmp_path)
    assert direct[0] == 0 and expected in direct[1], direct
    assert outcome([*launch, *start.split()], tmp_path) == direct


@pytest.mark.parametrize("scope", ["program", "tree"])
def test_an_image_at_fixed_addresses(launch: list[str], tmp_path: Path, scope: str) -> None:
    """SBCL, as pgloader has it, maps its heap and more at addresses chosen when it was built."""
    words = ["sbcl", "--noinform", "--no-sysinit", "--no-userinit", "--eval", SUM]
    direct = outcome(words, tmp_path)
    assert direct == (0, "42", "")
    for group in ("one", "two", "three", "four", "five"):
        options = (f"--layout-group={group}", f"--layout-scope={scope}")
        assert outcome([*launch[:-1], *options, "--", *words], tmp_path) == direct


def test_rust_knows_where_its_stack_ends(launch: list[str], tmp_path: Path) -> None:
    build(RUNTIMES["rust"][0], tmp_path)
    direct = outcome(["./rust", "overflow"], tmp_path)
    assert direct[0] == -signal.SIGABRT and "has overflowed its stack" in direct[2]
    assert outcome([*launch, "./rust", "overflow"], tmp_path) == direct
