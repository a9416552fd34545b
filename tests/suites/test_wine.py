"""Windows programs in Wine, which has its own idea of free addresses: in a root of Debian's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from interpreters import WINE, in_root

from ksmrun.facts.launcher import LAUNCHER

from .compare import HERE, LONG_RUN

pytestmark = LONG_RUN

WINE64, SERVER = "/usr/lib/wine/wine64", "/usr/lib/wine/wineserver64"
COMPILER = "x86_64-w64-mingw32-gcc-win32"
# By Windows's own name for the machine; the loader of 32 bits starts the command line of 32.
COMMANDS = {
    "AMD64": [WINE64, "cmd", "/c", "echo %PROCESSOR_ARCHITECTURE%"],
    "x86": [
        "/usr/lib/wine/wine",
        r"c:\windows\syswow64\cmd.exe",
        "/c",
        "echo %PROCESSOR_ARCHITECTURE%",
    ],
}
WAYS = {
    "merging": ["--layout=random", "--"],
    "layout": ["--layout=shared", "--"],
    "script": ["--layout=shared", "--", "sh", "-c", '"$@"; exit $?', "sh"],
    "tree": ["--layout=shared", "--layout-scope=tree", "--"],
}
Start = Callable[..., str]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Return what runs a command in that root, with Wine's files and server of its own."""
    folder = tmp_path_factory.mktemp("wine")
    key = folder / "key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o400)
    variables = {"WINEPREFIX": folder / "prefix", "WINEDEBUG": "-all", "WINEARCH": "win64"}
    environment = [f"{name}={value}" for name, value in variables.items()]

    def run(*command: str, way: str | None = None) -> str:
        launcher = [str(LAUNCHER), "--quiet", f"--layout-key={key}"]
        words = [] if way is None else [*launcher, *WAYS[way]]
        inside = in_root(
            WINE, ["--unshare-pid"], "env", "-u", "DISPLAY", *environment, *words, *command
        )
        done = subprocess.run(inside, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done)
        return done.stdout

    run("sh", "-c", f"{WINE64} wineboot --init; {SERVER} -w")
    return run


@pytest.mark.parametrize("machine", COMMANDS)
def test_starts(start: Start, machine: str) -> None:
    assert start(*COMMANDS[machine]).split() == [machine]
    for way in WAYS:
        assert start(*COMMANDS[machine], way=way).split() == [machine], way


def test_addresses(start: Start, tmp_path: Path) -> None:
    """They are the same in all copies by themselves, as on Windows without ASLR."""
    program = tmp_path / "where.exe"
    source = shutil.copy(HERE / "windows.c", tmp_path)
    start(COMPILER, "-O1", str(source), "-o", str(program))
    (first, second) = (start(WINE64, str(program)) for _ in range(2))
    assert first == second and len(first.split()) == 5
    for way in WAYS:
        assert start(WINE64, str(program), way=way) == first, way
