"""Programs with unusual ELF headers behave the same with the group's layout as without."""

from __future__ import annotations

import os
import platform
import random
import resource
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from volume import volume
from waiting import LAST_RESORT_SECONDS

from .conftest import Build

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="built for x86_64")

FILES = 10_000
BARE = ("-nostdlib", "-static", "-fno-pie", "-no-pie", "-fno-stack-protector")
BARE_PIE = ("-nostdlib", "-static-pie", "-fpie", "-fno-stack-protector")
HEADER_BYTES, SEGMENT_BYTES = 64, 56
# Offsets in a program header (elf(5)), and the width of each field.
TYPE, FLAGS, OFFSET, ADDRESS, IN_FILE, IN_MEMORY, ALIGN = 0, 4, 8, 16, 32, 40, 48
WIDE = (OFFSET, ADDRESS, IN_FILE, IN_MEMORY, ALIGN)
ODD_NUMBERS = (
    *(0, 1, 0xFFF, 0x1000, 0x1800, 0x10000, 0x200000, 1 << 30, 1 << 32, 1 << 40, 0x555555554000),
    *(0x7E0000000000, 0x7E8000000000, 0x7FFFFFFFE000, 1 << 47, 1 << 63, (1 << 64) - 0x1000),
)
CODE = b"\xb8\x3c\0\0\0\xbf\x03\0\0\0\x0f\x05"


@pytest.fixture
def key(tmp_path: Path) -> str:
    file = tmp_path / "key"
    file.write_bytes(random.Random(1).randbytes(32))
    file.chmod(0o400)
    return str(file)


Compare = Callable[..., tuple[int, bytes]]


@pytest.fixture
def compare(launcher: str, key: str) -> Compare:
    """Run a file with and without the layout; return both results."""
    layout = [launcher, "--quiet", "--merge=keep", "--layout=shared", f"--layout-key={key}", "--"]

    def run(file: Path, prepare: Callable[[], None] | None = None) -> tuple[int, bytes]:
        found = []
        for prefix in ([], layout):
            pipe = subprocess.PIPE
            try:
                # Without a preexec_fn no copy of this process is made for each of thousands.
                process = subprocess.Popen(
                    [*prefix, file], stdout=pipe, stderr=pipe, preexec_fn=prepare
                )
            except OSError:
                # What the kernel rejects is an error here, and the launcher's 126 there.
                found.append((126, b"", b""))
                continue
            with process:
                # Some run round in circles, with and without the layout.
                resource.prlimit(process.pid, resource.RLIMIT_CPU, (1, 1))
                output, error = process.communicate(timeout=LAST_RESORT_SECONDS)
            found.append((process.returncode, output, error))
        (code, output, _), (wrapped_code, wrapped_output, said) = found
        # A program that its exec kills may get another signal from its tracer.
        assert (max(code, -1), output) == (max(wrapped_code, -1), wrapped_output), (found, said)
        return code, output

    return run


def write(file: Path, data: bytes) -> Path:
    file.write_bytes(data)
    file.chmod(0o755)
    return file


@pytest.mark.parametrize(
    "options",
    [
        ("-Wl,-N",),
        ("-Wl,-n",),
        ("-Wl,-Ttext-segment=0",),
        ("-Wl,-Ttext-segment=0x10000",),
        ("-Wl,-Ttext-segment=0x50000000",),
        ("-Wl,-Ttext-segment=0x7e0000000000", "-mcmodel=large"),
        ("-Wl,-Ttext-segment=0x555555554000", "-mcmodel=large"),
        ("-Wl,-Ttext-segment=0x7effff000000", "-mcmodel=large"),
        ("-Wl,-z,max-page-size=0x40000000",),
    ],
)
def test_as_linkers_make_them(build: Build, compare: Compare, options: tuple[str, ...]) -> None:
    assert compare(Path(build("bare", *BARE, *options))) == (3, b"ran\n")


def segments(count: int) -> bytes:
    """Make a program with this many mappings: code in the second, then pages with holes."""
    base, table = 0x10000000, HEADER_BYTES + SEGMENT_BYTES * count
    size = (table + 0xFFF) // 0x1000 * 0x1000
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    fields = (
        2,
        62,
        1,
        base + size,
        HEADER_BYTES,
        0,
        0,
        HEADER_BYTES,
        SEGMENT_BYTES,
        count,
        64,
        0,
        0,
    )
    data = bytearray(ident + struct.pack("<HHIQQQIHHHHHH", *fields))
    for number in range(count):
        place, length = (0, size) if number == 0 else (size, 0x1000)
        address = base + (0 if number == 0 else size + (number - 1) * 0x2000)
        kind = (1, 5 if number == 1 else 4)
        data += struct.pack("<IIQQQQQQ", *kind, place, address, 0, length, length, 0x1000)
    return bytes(data.ljust(size, b"\0") + CODE.ljust(0x1000, b"\0"))


@pytest.mark.parametrize("count", [100, 440, 500, 520, 1100])
def test_many_mappings(compare: Compare, tmp_path: Path, count: int) -> None:
    assert compare(write(tmp_path / "many", segments(count))) == (3, b"")


@pytest.mark.parametrize("headers", [129, 1100])
def test_many_headers(build: Build, compare: Compare, tmp_path: Path, headers: int) -> None:
    """The table is at the end of the file, filled up with PT_NULL."""
    data = bytearray(Path(build("bare", *BARE)).read_bytes())
    (place,), (count,) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<H", data, 56)
    table = data[place : place + SEGMENT_BYTES * count].ljust(SEGMENT_BYTES * headers, b"\0")
    data += b"\0" * (-len(data) % 16)
    struct.pack_into("<Q", data, 32, len(data))
    struct.pack_into("<H", data, 56, headers)
    assert compare(write(tmp_path / "headers", bytes(data + table))) == (3, b"ran\n")


def test_more_data_than_its_limit(build: Build, compare: Compare) -> None:
    """PR_SET_MM_MAP checks a limit that the exec did not (kernel/sys.c: check_data_rlimit)."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]

    def none() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (0, hard))

    file = Path(build("bare", *BARE, "-Wl,-z,noseparate-code"))
    compare(file, none)


def mutate(original: bytes, chance: random.Random) -> bytes:
    """Change one to three fields of the ELF header and of the program headers."""
    data = bytearray(original)
    (place,), (count,) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<H", data, 56)
    for _ in range(chance.randint(1, 3)):
        segment = place + SEGMENT_BYTES * chance.randrange(count)
        match chance.randrange(8):
            case 0:
                data[chance.randrange(4, HEADER_BYTES)] = chance.randrange(256)
            case 1:
                struct.pack_into("<H", data, 16, chance.choice((2, 3)))
            case 2:
                struct.pack_into("<I", data, segment + TYPE, chance.choice((0, 1, 2, 4, 6, 7)))
            case 3:
                struct.pack_into("<I", data, segment + FLAGS, chance.randrange(8))
            case 4:
                data[segment + chance.randrange(SEGMENT_BYTES)] = chance.randrange(256)
            case 5:
                near = struct.unpack_from("<Q", data, segment + ADDRESS)[0]
                moved = (near + chance.choice((-1, 1)) * chance.choice(ODD_NUMBERS)) % (1 << 64)
                struct.pack_into("<Q", data, segment + ADDRESS, moved)
            case _:
                field = chance.choice(WIDE)
                struct.pack_into("<Q", data, segment + field, chance.choice(ODD_NUMBERS))
    return bytes(data)


@pytest.mark.parametrize("options", [BARE, BARE_PIE], ids=["fixed", "pie"])
def test_mutated(build: Build, compare: Compare, tmp_path: Path, options: tuple[str, ...]) -> None:
    """A file that runs directly also runs with the layout, and one that does not, does not."""
    original = Path(build("bare", *options)).read_bytes()
    seed = int(os.environ.get("KSMRUN_ELF_SEED", "1"))
    chance, file, ran = random.Random(seed), tmp_path / "mutated", 0
    count = volume(FILES // 2)
    for _ in range(count):
        data = mutate(original, chance)
        try:
            code, _output = compare(write(file, data))
        except AssertionError:
            write(tmp_path / "failed", data)
            raise
        ran += code == 3
    assert ran > count // 10, "too few are good enough to run"
