"""Files that only look like programs: nothing in them can hang or crash a reader."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from volume import volume

from ksmrun.facts.elf import ELF_SECONDS, elf_file
from ksmrun.facts.elf_head import UnreadableElfError
from ksmrun.facts.lua import find_lua
from ksmrun.facts.runtime import find_runtime
from ksmrun.facts.target import look_at

PROGRAM = Path("/bin/sleep").read_bytes()
SECTIONS = int.from_bytes(PROGRAM[40:48], "little")
PLACES = st.integers(0, 2000) | st.integers(SECTIONS, len(PROGRAM) - 1)


@settings(max_examples=volume(500), suppress_health_check=list(HealthCheck))
@example(changes={947: b"\x06\0\0\0\0\0+"})
@given(changes=st.dictionaries(PLACES, st.binary(min_size=1, max_size=8), min_size=1, max_size=6))
def test_any_bytes_may_be_others(tmp_path: Path, changes: dict[int, bytes]) -> None:
    data = bytearray(PROGRAM)
    for place, found in changes.items():
        data[place : place + len(found)] = found
    file = tmp_path / "program"
    file.write_bytes(data[: len(PROGRAM)])
    file.chmod(0o755)
    target = look_at(str(file).encode(), {})
    find_runtime(target)
    find_lua(file)


def test_what_takes_too_long_is_left(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_bytes(PROGRAM)
    started = time.thread_time()
    with pytest.raises(UnreadableElfError, match="of CPU time"), elf_file(file):
        while True:
            pass
    assert time.thread_time() - started < 10 * ELF_SECONDS
