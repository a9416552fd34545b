"""Real programs with children, threads and other users; each script of `scripts/` says which."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from .compare import HERE, LONG_RUN, PYTHON, SCRIPTS, Bench, has_shim

# Each with its exit code on completion; the long ones have `set -e`.
SHORT = {
    "users.sh": 0,
    "redis.sh": 0,
    "preloads.sh": 0,
    "python.py": 11,
    "remap.py": 0,
    "shells.bash": 6,
}
LONG = {
    "perl.pl": 9,
    "git.sh": 0,
    "make.sh": 0,
    "node.js": 8,
    "postgres.sh": 0,
    "ssh.sh": 0,
    "web.sh": 0,
}
CODES = SHORT | LONG
INTERPRETERS = {".sh": "sh", ".bash": "bash", ".pl": "perl", ".py": PYTHON, ".js": "node"}
# Libraries that replace libc's malloc and similar, by their names for ld.so.
ALLOCATORS = ("libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2")
# Not preloads.sh: libfaketime hangs under libjemalloc, without ksmrun too.
UNDER_ALLOCATORS = ("perl.pl", "shells.bash", "git.sh")


def test_each_script_is_named() -> None:
    assert set(CODES) == {file.name for file in SCRIPTS.iterdir()}


def check(bench: Bench, prefix: list[str], name: str, environment: dict[str, str]) -> None:
    command = [INTERPRETERS[Path(name).suffix], f"/mnt/scripts/{name}"]
    direct = bench.alike(prefix, command, environment=environment)
    assert (direct.code, direct.stderr) == (CODES[name], ""), direct


WAITS = """
area=$(head -c 4000000 /dev/zero | tr '\\0' x)
i=0
until grep -q '^VmFlags:.* mg' /proc/$$/smaps || [ $i -gt $1 ]; do
    sleep 0.05
    i=$((i + 1))
done
[ $i -le $1 ] && echo ${#area} bytes, merging
"""


def check_shim(bench: Bench, prefix: list[str]) -> None:
    """Check the program's own memory."""
    assert bench.run(["sh", "-c", WAITS, "sh", "10"]).stdout == ""
    assert bench.run([*prefix, "sh", "-c", WAITS, "sh", "200"]).stdout == "4000000 bytes, merging\n"


PARTS = ("program", "local", "mmap", "brk", "vdso")


def check_layout(bench: Bench, prefix: list[str]) -> None:
    """Check for equal addresses with other arguments and environment."""
    source = HERE.parent / "integration/programs/where.c"
    subprocess.run(["gcc", "-O1", "-o", bench.folder / "where", source], check=True)
    command = ["/mnt/programs/where"]

    def places(*words: str, **environment: str) -> list[int]:
        found = json.loads(bench.run([*words], environment).stdout)
        return [found[part] for part in PARTS]

    first, second = places(*prefix, *command), places(*prefix, *command, "a", "b", LONG="x" * 999)
    assert first == second
    assert not set(first) & set(places(*command))


def test_at_work(bench: Bench, prefix: list[str]) -> None:
    """The tested part is active in a box; otherwise the tests below would prove nothing."""
    check = check_shim if has_shim(prefix) else check_layout
    check(bench, prefix)


@pytest.mark.parametrize("name", [*SHORT, *(pytest.param(name, marks=LONG_RUN) for name in LONG)])
def test_program(bench: Bench, prefix: list[str], name: str) -> None:
    check(bench, prefix, name, {})


@pytest.mark.parametrize(
    "library", [ALLOCATORS[0], *(pytest.param(name, marks=LONG_RUN) for name in ALLOCATORS[1:])]
)
@pytest.mark.parametrize(
    "name",
    ["python.py", *(pytest.param(name, marks=LONG_RUN) for name in UNDER_ALLOCATORS)],
)
def test_with_another_allocator(bench: Bench, prefix: list[str], name: str, library: str) -> None:
    """The shim comes first in LD_PRELOAD, so each allocator is tested behind it."""
    check(bench, prefix, name, {"LD_PRELOAD": library})
