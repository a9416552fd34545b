"""Runtimes recognised in real files, and the messages about them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ksmrun.facts.runtime import SHELL, SIGNS, find_runtime
from ksmrun.facts.target import look_at
from ksmrun.plan.runtimes import RUNTIMES

PATH = {b"PATH": b"/usr/bin:/bin"}


def runtime_name(command: str | Path) -> str | None:
    found = find_runtime(look_at(str(command).encode(), PATH))
    return None if found is None else found.name


def build(output: Path, source: str, *options: str | Path) -> Path:
    file = output.with_suffix(".c")
    file.write_text(source)
    subprocess.run(["gcc", "-o", output, file, *options], check=True)
    return output


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/bin/python3", "CPython"),
        ("/usr/bin/perl", "Perl"),
        ("/bin/sh", SHELL),
        ("true", None),
        ("no-such-command", None),
    ],
)
def test_real_programs(command: str, name: str | None) -> None:
    assert runtime_name(command) == name


def test_a_script_is_what_its_interpreter_is(tmp_path: Path) -> None:
    for line, name in (("#!/usr/bin/env perl", "Perl"), ("#!/bin/sh", SHELL)):
        script = tmp_path / "script"
        script.write_text(f"{line}\n")
        script.chmod(0o755)
        assert runtime_name(script) == name


@pytest.mark.parametrize(("name", "library", "function"), SIGNS)
def test_by_what_a_program_exports_or_needs(
    tmp_path: Path, name: str, library: str, function: str
) -> None:
    source = f"void {function}(void) {{}} int main(void) {{ return 0; }}"
    assert runtime_name(build(tmp_path / "exports", source, "-Wl,-E")) == name
    # Not exported: another function of the same name.
    assert runtime_name(build(tmp_path / "hides", source)) is None
    soname = f"{library}x.so.1"
    shared = build(
        tmp_path / soname, f"void {function}(void) {{}}", "-shared", f"-Wl,-soname,{soname}"
    )
    caller = f"void {function}(void); int main(void) {{ {function}(); return 0; }}"
    assert runtime_name(build(tmp_path / "needs", caller, shared)) == name


def test_a_go_program(tmp_path: Path) -> None:
    section = '__asm__(".section .go.buildinfo,\\"a\\"; .byte 1; .text"); int main(void) {}'
    assert runtime_name(build(tmp_path / "go", section, "-static")) == "Go"


def test_luajit_is_not_taken_for_lua(tmp_path: Path) -> None:
    source = "void lua_newstate(void) {} void luaJIT_setmode(void) {} int main(void) {}"
    assert runtime_name(build(tmp_path / "x", source, "-Wl,-E")) == "LuaJIT"


def test_a_damaged_file_is_of_no_runtime(tmp_path: Path) -> None:
    whole = Path("/usr/bin/perl").read_bytes()
    file = tmp_path / "cut"
    for size in (100, 5000, len(whole) // 2):
        file.write_bytes(whole[:size])
        file.chmod(0o755)
        assert runtime_name(file) is None


def test_each_runtime_that_is_found_was_measured() -> None:
    assert {name for name, _, _ in SIGNS} | {"Go"} == set(RUNTIMES)
