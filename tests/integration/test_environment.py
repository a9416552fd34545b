"""Arguments and environment arrive unchanged to the byte, whatever they are."""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import See
from .test_transparency import LIBC, assert_same


def test_empty_environment(see: See, way: tuple[str, ...]) -> None:
    """Under `env -i` Python puts LC_CTYPE into its own environment."""
    assert_same(see, way, env={})
    assert see(way, env={})["environment"] == []


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "de_DE.ISO-8859-1", "xx"])
def test_any_locale(see: See, way: tuple[str, ...], locale: str) -> None:
    environment = {b"LANG": locale.encode(), b"X": b"\xff\xfe\x80=\n", b"\xe9": b"\xe9"}
    assert_same(
        see, way, env=environment, arguments=[b"\xff\x80", b"", b"\xc3\xa9", b"--help", b"a\nb"]
    )


def test_variables_of_python(see: See, way: tuple[str, ...], tmp_path: Path) -> None:
    """They belong to the program; they neither break ksmrun nor run code in it."""
    (tmp_path / "dataclasses.py").write_text("raise SystemExit(7)\n")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit(8)\n")
    environment = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nonexistent"}
    environment |= {"PYTHONVERBOSE": "1", "PYTHONIOENCODING": "x", "PYTHONWARNINGS": "error"}
    environment |= {"_KSMRUN_COMPLETE": "source_bash", "COLUMNS": "-1", "TERM": "x"}
    assert_same(see, way, env=environment)


words = st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\0", b"\1")), max_size=6)


names = st.binary(min_size=1, max_size=12).map(lambda b: b.replace(b"\0", b"_").replace(b"=", b"_"))


values = st.binary(max_size=30).map(lambda b: b.replace(b"\0", b"_"))


environments = st.dictionaries(names, values, max_size=6).filter(
    # Those control ksmrun and ld.so.
    lambda e: not any(n.startswith((b"KSMRUN_", b"LD_")) for n in e)
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arguments=words, environment=environments)
def test_any_bytes(
    see: See, way: tuple[str, ...], arguments: list[bytes], environment: dict[bytes, bytes]
) -> None:
    assert_same(see, way, arguments=arguments, env=environment)


def test_entries_that_no_shell_makes(
    launcher: str, ksmrun: str, programs: Any, tmp_path: Path
) -> None:
    """A duplicate name, no "=", an empty name: execve passes anything, and so does ksmrun."""
    entries = [b"A=1", b"A=2", b"noequals", b"=x", b"=a=b", b"", b"Z="]
    for prefix in ([], [launcher, "--"], [ksmrun, "run", "--"]):
        output = tmp_path / "seen"
        command = [os.fsencode(word) for word in (*prefix, programs.see, str(output))]
        child = os.fork()
        if child == 0:
            vector = (ctypes.c_char_p * (len(command) + 1))(*command, None)
            block = (ctypes.c_char_p * (len(entries) + 1))(*entries, None)
            LIBC.execve(command[0], vector, block)
            os._exit(97)
        assert os.waitpid(child, 0)[1] == 0
        seen = json.loads(output.read_text())
        assert [bytes.fromhex(entry) for entry in seen["environment"]] == entries
