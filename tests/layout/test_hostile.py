"""Paths, files and filters chosen so that a program would start at addresses that others know."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS

from .conftest import Build
from .places import Told, where

LOADER = "/lib64/ld-linux-x86-64.so.2"
# asm/unistd_64.h; prctl(2); personality(2).
PRCTL, PERSONALITY = 157, 135
PR_SET_MM, PR_SET_MM_MAP = 35, 14
PATHS = {
    "version": "Game [v1.2]/server",
    "stack": "a [stack]",
    "vdso": "b [vdso]",
    "only brackets": "[vdso]",
    "two lines": "c\n7ffd0000-7ffe0000 rw-p 00000000 00:00 0 [stack]",
    "deleted": "d (deleted)",
    "heap": "[heap]",
    "bracket": "e) R 1 1 1 1",
    "no text": os.fsdecode(b"f\xff\x9b[v"),
    "long": "/".join(["g [stack]" * 20] * 5),
}


def is_x86_64() -> bool:
    return os.uname().machine == "x86_64"


pytestmark = pytest.mark.skipif(not is_x86_64(), reason="numbers and places are x86_64's")


def known(program: str) -> Told:
    """Return its addresses without randomisation, which everybody knows."""
    return where("setarch", "-R", program)


@pytest.mark.parametrize("by", ["limit", "reservation"])
@pytest.mark.parametrize("name", PATHS)
def test_path(launch: list[str], build: Build, tmp_path: Path, name: str, by: str) -> None:
    """It is the same file, so it belongs where the other is."""
    program = build("where")
    odd = tmp_path / PATHS[name]
    odd.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(program, odd)
    # The program prints the name that it was called by.
    called = odd if odd.name.isprintable() else tmp_path / "link"
    if called != odd:
        called.symlink_to(odd)
    prefix = [build("deny"), f"1:{PERSONALITY}"] if by == "reservation" else []
    expected = where(*prefix, *launch, program).places
    assert where(*prefix, *launch, str(called)).places == expected
    assert not set(expected) & set(known(program).places)


@pytest.mark.parametrize("name", ["version", "stack", "vdso", "two lines"])
def test_path_of_the_loader(launch: list[str], build: Build, tmp_path: Path, name: str) -> None:
    loader = tmp_path / PATHS[name]
    loader.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(LOADER, loader)
    program = tmp_path / "program"
    text = Path(build("where")).read_bytes()
    # PT_INTERP is moved to the file's end, where there is space for a longer name.
    program.write_bytes(with_loader(text, os.fsencode(loader) + b"\0"))
    program.chmod(0o755)
    plain = where(*launch, build("where"))
    assert where(*launch, str(program)).places == plain.places


def with_loader(elf: bytes, loader: bytes) -> bytes:
    """Return the program with another PT_INTERP: the kernel reads the name from the file."""
    (table,) = struct.unpack_from("<Q", elf, 32)
    (size, count) = struct.unpack_from("<HH", elf, 54)
    changed = bytearray(elf)
    for number in range(count):
        at = table + number * size
        if struct.unpack_from("<I", elf, at)[0] == 3:
            struct.pack_into("<Q", changed, at + 8, len(elf))
            struct.pack_into("<Q", changed, at + 32, len(loader))
    return bytes(changed) + loader


FAKES = {
    "PR_SET_MM_MAP": (
        ["0", str(PR_SET_MM), "1", str(PR_SET_MM_MAP)],
        PRCTL,
        "where the group has it",
    ),
    "personality": (["0", "0"], PERSONALITY, "put back"),
}


@pytest.mark.parametrize("fake", FAKES)
def test_success_that_is_not_true(launch: list[str], build: Build, fake: str) -> None:
    """A filter reports success without doing anything: parts stay at public addresses."""
    arguments, call, what = FAKES[fake]
    command = [build("fake"), str(call), *arguments, *launch, build("where")]
    command.remove("--quiet")
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=LAST_RESORT_SECONDS
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, ""), done
    assert what in done.stderr and "--layout=random" in done.stderr


@pytest.mark.parametrize("align_bits", [30, 41, 47, 63])
def test_alignment(launch: list[str], build: Build, tmp_path: Path, align_bits: int) -> None:
    """A base with a large alignment has few possible values, or a public one."""
    elf = bytearray(Path(build("where")).read_bytes())
    (table,) = struct.unpack_from("<Q", elf, 32)
    (size, count) = struct.unpack_from("<HH", elf, 54)
    for number in range(count):
        if struct.unpack_from("<I", elf, table + number * size)[0] == 1:
            struct.pack_into("<Q", elf, table + number * size + 48, 1 << align_bits)
    program = tmp_path / "aligned"
    program.write_bytes(elf)
    program.chmod(0o755)
    done = subprocess.run(
        [*launch, str(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=LAST_RESORT_SECONDS,
    )
    assert (done.returncode == 0) is (align_bits == 30) or done.returncode < 0, done
    if done.returncode == 0:
        first = where(*launch, str(program))
        assert first.places == where(*launch, str(program)).places
        assert not {first.places[0]} & {known(str(program)).places[0]}
