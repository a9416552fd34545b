"""Processes killed at any step of a launch: the program never starts partly moved.

The launcher is built with shared libraries, so that a preloaded one counts its calls of libc and
kills before the N-th: for each N, in each process.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import DYNAMIC_NAME, Build
from .places import Told, told, wait_until_none, where

SECONDS = 20


@dataclass(frozen=True)
class Launch:
    """Launch that can be killed."""

    launcher: Path
    preload: str
    words: tuple[str, ...]
    prefix: tuple[str, ...] = ()

    def run(self, who: str, **settings: object) -> subprocess.CompletedProcess[str]:
        """Run it. Raises subprocess.TimeoutExpired if it hangs."""
        words = {f"KILL_{name.upper()}": str(value) for name, value in settings.items()}
        set_ = [f"{name}={value}" for name, value in words.items()]
        command = [*self.prefix, "env", f"LD_PRELOAD={self.preload}", f"KILL_WHO={who}", *set_]
        return subprocess.run(
            [*command, str(self.launcher), *self.words],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )


# Of what ld.so puts for $PLATFORM in programs of 64 bits, and of 32.
PLATFORMS = {(): (os.uname().machine, "haswell", "xeon_phi"), ("-m32",): ("i686",)}


@pytest.fixture(scope="module")
def preload(build: Build, folder: Path) -> str:
    """Return the library that kills, by a name for both kinds of program."""
    for options, names in PLATFORMS.items():
        if options and os.uname().machine != "x86_64":
            continue
        library = build("killed", "-shared", "-fPIC", *options)
        for name in names:
            place = folder / "kills" / name
            place.mkdir(parents=True, exist_ok=True)
            (place / "killed.so").symlink_to(library)
    return f"{folder}/kills/$PLATFORM/killed.so"


@pytest.fixture(scope="module", params=PLATFORMS, ids=["64 bits", "32 bits"])
def program(request: pytest.FixtureRequest, build: Build) -> str:
    """Return a program, which is of 32 bits in a second round."""
    if request.param and os.uname().machine != "x86_64":
        pytest.skip("only x86_64 runs them")
    return build("where", *request.param)


@pytest.fixture(scope="module")
def launch_to_kill(dynamic_launcher: Path, preload: str, program: str, launch: list[str]) -> Launch:
    words = [word for word in launch[1:] if word != "--require"]
    return Launch(dynamic_launcher, preload, (*words, program))


HALF = "half moved"
# The kernel's own layout for 32 bits has 8 random bits, so that a place may be a known one by
# chance; that is not so each time.
TRIES = 4


def end_of(done: subprocess.CompletedProcess[str], moved: Told, known: set[int]) -> str:
    """Return what became of the program."""
    if done.returncode == -signal.SIGKILL:
        assert done.stderr == ""
        # Killed after it was released.
        assert done.stdout == "" or told(done.stdout).places == moved.places
        return "dead"
    assert (done.returncode, done.stderr) == (0, ""), done
    found = told(done.stdout)
    assert found.rest == moved.rest
    if found.places == moved.places:
        return "moved"
    if set(found.places) & known:
        return HALF
    return "kernel's"


@pytest.mark.parametrize("adopts", [False, True], ids=["alone", "adopting"])
@pytest.mark.parametrize(
    ("who", "ends"),
    [
        ("helper", {"kernel's", "dead", "moved"}),
        ("target", {"dead", "moved"}),
        ("launcher", {"dead"}),
    ],
)
@pytest.mark.parametrize(
    "after_ms", [0, pytest.param(3, marks=pytest.mark.long_run)], ids=["at once", "later"]
)
def test_killed_at_every_step(
    launch_to_kill: Launch,
    program: str,
    build: Build,
    tmp_path: Path,
    who: str,
    ends: set[str],
    adopts: bool,
    after_ms: int,
) -> None:
    """Also if the helper is the program's own child, as in a container."""
    prefix = (build("adopt"),) if adopts else ()
    launch = Launch(launch_to_kill.launcher, launch_to_kill.preload, launch_to_kill.words, prefix)
    count = tmp_path / "count"
    moved = told(launch.run(who, count=count).stdout)
    fixed = where("setarch", "-R", "env", f"LD_PRELOAD={launch.preload}", program)
    known = {*moved.places, *fixed.places}
    calls = int(count.read_text())
    seen: Counter[str] = Counter()
    for number in range(1, calls + 1):
        for _ in range(TRIES):
            end = end_of(launch.run(who, at=number, after_ms=after_ms), moved, known)
            if end != HALF:
                break
        seen[end] += 1
    wait_until_none(DYNAMIC_NAME)
    assert set(seen) == ends, seen
