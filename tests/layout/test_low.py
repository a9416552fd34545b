"""MAP_32BIT: secret places, the same in a group, and as much space as usual."""

from __future__ import annotations

import platform
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import Build, words

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the flag is x86_64's")

# arch/x86/kernel/sys_x86_64.c: find_start_end.
START, END, RANDOM_BYTES = 0x40000000, 0x80000000, 0x02000000
PAGE_BYTES = 4096
LINKED = {
    "pie": (),
    "no_pie": ("-no-pie",),
    "static": ("-static",),
    "static_pie": ("-static-pie",),
}
# Programs that are in the window or overlap it.
AT = {
    "at its start": ("-Wl,-Ttext-segment=0x40000000", "-static"),
    "in what is closed": ("-Wl,-Ttext-segment=0x40100000", "-static"),
    "behind it": ("-Wl,-Ttext-segment=0x42000000", "-static"),
    "near its end": ("-Wl,-Ttext-segment=0x7d400000", "-static"),
    "over its start": ("-no-pie", "-DBSS=0x41000000", "-mcmodel=large"),
    "over all of it": ("-no-pie", "-DBSS=0xc0000000", "-mcmodel=large"),
}


def places(*command: str) -> tuple[int, int]:
    done = subprocess.run([*command, "place"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    first, second = (int(word, 16) for word in done.stdout.split())
    return first, second


def through_shell(launch: list[str], program: str, *arguments: str) -> list[str]:
    """Return a start by a script: the program is then moved after an exec that was randomised."""
    return [*launch, "sh", "-c", f'{program} "$@"; exit $?', "sh", *arguments]


@pytest.mark.parametrize("linked", LINKED)
def test_equal_in_a_group(launch: list[str], build: Build, linked: str) -> None:
    program = build("low", *LINKED[linked])
    first, second = places(*launch, program)
    assert (first, second) == places(*launch, program)
    assert START <= first < START + RANDOM_BYTES
    assert second == first + PAGE_BYTES
    if linked not in ("no_pie", "static"):
        below = through_shell(launch, program)
        assert places(*below) == places(*below) == (first + RANDOM_BYTES, second + RANDOM_BYTES)


def test_secret_outside(launcher: str, build: Build, tmp_path: Path) -> None:
    """13 bits: 40 keys have nearly 40 different ones of 8192 places, over the whole range."""
    program, file, found = build("low"), tmp_path / "key", []
    for number in range(40):
        file.unlink(missing_ok=True)
        file.write_bytes(random.Random(number).randbytes(32))
        file.chmod(0o400)
        found.append(places(*words(launcher, str(file)), program)[0] - START)
    assert len(set(found)) >= 36
    assert min(found) < RANDOM_BYTES // 4 and max(found) > RANDOM_BYTES * 3 // 4
    assert any(place // PAGE_BYTES % 2 for place in found)


@pytest.mark.parametrize("by", ["limit", "reservation"])
def test_room(launch: list[str], build: Build, by: str) -> None:
    """The kernel's own random start takes at most 32 of the 1024 MiB; after a reservation 64."""
    program, mib = build("low"), 992 if by == "limit" else 960
    for what in ("room", "pieces"):
        arguments = [program, what, str(mib)]
        command = [*launch, *arguments] if by == "limit" else through_shell(launch, *arguments)
        assert subprocess.run(command, check=False).returncode == 0, what


@pytest.mark.parametrize("linked", LINKED)
def test_brk_heap(launch: list[str], build: Build, linked: str) -> None:
    program = build("low", *LINKED[linked])
    assert subprocess.run([*launch, program, "brk", "3000"], check=False).returncode == 0


def test_mapped_over(launch: list[str], build: Build) -> None:
    assert subprocess.run([*launch, build("low"), "over"], check=False).returncode == 0


@pytest.mark.parametrize("at", AT)
def test_programs_in_the_window(launch: list[str], build: Build, at: str) -> None:
    program = build("low", *AT[at])
    first = places(*launch, program)
    assert first == places(*launch, program)
    # MAP_FAILED if nothing is left.
    assert (first[0] < END) is (at != "over all of it")
    assert subprocess.run([*launch, program, "brk", "700"], check=False).returncode == 0


@pytest.mark.parametrize("limit", ["--as=8000000", "--memlock=8388608"])
def test_it_hardly_counts(launch: list[str], build: Build, limit: str) -> None:
    program = build("low")
    assert places("prlimit", limit, *launch, program) == places(*launch, program)


@pytest.mark.skipif(shutil.which("luajit") is None, reason="no luajit")
def test_luajit(launch: list[str]) -> None:
    """Its code is near itself, its data in this window if it was built for that."""
    code = "local t = {}; for i = 1, 3e6 do t[i] = i end; print(#t, jit.status())"
    done = subprocess.run(
        [*launch, "luajit", "-e", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("3000000\ttrue")
