"""The page tool: tests/bench/differences.py."""

from __future__ import annotations

import os
import random
import re
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[1] / "bench"
HEAP, STACK, PAGE = 0x7F0000000000, 0x7FFF00000000, os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(name="tool")
def _tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCH)
    return __import__("differences")


def process(tool: ModuleType, pid: int, *pages: bytes) -> object:
    mappings = [tool.Mapping(HEAP, HEAP + 64 * PAGE, "[heap]")]
    mappings.append(tool.Mapping(STACK, STACK + PAGE, "[stack]"))
    return tool.Process(pid, mappings, {HEAP + n * PAGE: page for n, page in enumerate(pages)})


def words(*values: int) -> bytes:
    return struct.pack("<512Q", *values, *range(1, 513 - len(values)))


def test_each_kind_of_page(tool: ModuleType) -> None:
    same, first, second, moved = (random.randbytes(PAGE) for _ in range(4))
    later = moved[48:] + bytes(48)
    one = process(tool, 7, bytes(PAGE), same, first, moved, words(5), first[::-1])
    two = process(tool, 8, bytes(PAGE), same, second, later, words(6), first)
    assert tool.compare(one, two, 16).pages == {
        "zero": 1,
        "equal in place": 1,
        "equal elsewhere": 1,
        "shifted": 1,
        "different in few words": 1,
        "different": 1,
    }


def test_each_kind_of_word(tool: ModuleType) -> None:
    now, up = time.time(), time.monotonic_ns()
    pairs = {
        (HEAP + 8, STACK + 8): "pointer into [heap] and [stack]",
        (7, 8): "PID",
        (int(now) - 9, int(now) - 3): "time in s",
        (int(now * 1000) - 9000, int(now * 1000) - 3000): "time in ms",
        (up - 999, up - 99): "time in ns",
        (100, 300): "counter or small number",
        (0xA5A5 << 48 | 3, 0x1111 << 48 | 9): "random",
        (0xA5A5 << 48, 0x1111 << 48): "random, as stack canaries are",
        (0, 0xA5A5 << 48): "present in one only",
        (int.from_bytes(b"copy-1"), int.from_bytes(b"copy-2")): "text",
    }
    one, two = process(tool, 7), process(tool, 8)
    for pair, kind in pairs.items():
        assert tool.word_kind(pair, one, two) == kind


@pytest.fixture(name="sleepers")
def _sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    command = ["setarch", "--addr-no-randomize", "sleep", "60"]
    with subprocess.Popen(command) as one, subprocess.Popen(command) as two:
        yield [one, two]
        one.kill()
        two.kill()


def test_real_processes(sleepers: list[subprocess.Popen[bytes]]) -> None:
    pids = [str(each.pid) for each in sleepers]
    command = [sys.executable, str(BENCH / "differences.py"), *pids]
    done = subprocess.run([*command, "--mib", "1"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    total = int(re.findall(r"^(\d+) anonymous pages", done.stdout)[0])
    assert sum(map(int, re.findall(r"^ *(\d+) +[\d.]+%", done.stdout, re.MULTILINE))) == total > 9
    assert "equal in place" in done.stdout and "random" in done.stdout


def test_what_cannot_be_read(sleepers: list[subprocess.Popen[bytes]]) -> None:
    tool, pid = str(BENCH / "differences.py"), str(sleepers[0].pid)
    as_nobody = ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, tool, pid, pid]
    for command, said in (
        ([sys.executable, tool, pid, "4194305"], "No such file"),
        ([sys.executable, tool, "1", "word"], "invalid int"),
        (as_nobody, "as root"),
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and said in done.stderr
        assert "Traceback" not in done.stderr
