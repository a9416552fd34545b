"""Programs that contain Lua, with and without names for its functions."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ksmrun.facts.lua import LuaFacts, find_lua

LUA = """
const char lua_ident[] = "$LuaVersion: Lua 5.3.6  Copyright $";
void *lua_newstate(void);
void *lua_newstate(void) { return (void *)lua_ident; }
int main(void) { return lua_newstate() == 0; }
"""


def build(folder: Path, source: str, *options: str) -> Path:
    file, program = folder / "x.c", folder / "x"
    file.write_text(source)
    subprocess.run(["gcc", "-o", str(program), str(file), *options], check=True)
    return program


def test_embedded_with_and_without_names(tmp_path: Path) -> None:
    assert find_lua(build(tmp_path, LUA, "-rdynamic")) == LuaFacts("Lua 5.3", is_named=True)
    assert find_lua(build(tmp_path, LUA)) == LuaFacts("Lua 5.3", is_named=False)
    assert find_lua(build(tmp_path, LUA, "-static")) == LuaFacts("Lua 5.3", is_named=False)
    for version in ("5.1", "5.5"):
        assert find_lua(build(tmp_path, LUA.replace("5.3", version), "-rdynamic")) is None


def test_one_that_is_only_called(tmp_path: Path) -> None:
    """A name that the program imports is not its own."""
    library = tmp_path / "libother.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-xc", "-", "-o", str(library)],
        input=b"void *lua_newstate(void) { return 0; }",
        check=True,
    )
    calls = LUA.replace("{ return (void *)lua_ident; }", ";")
    program = build(tmp_path, calls, "-rdynamic", f"-Wl,-rpath,{tmp_path}", str(library))
    assert find_lua(program) == LuaFacts("Lua 5.3", is_named=False)


@pytest.mark.parametrize("name", ["lua5.4", "luajit-5.1", "lua5.3-c++"])
def test_linked_with_its_library(tmp_path: Path, name: str) -> None:
    library = tmp_path / f"lib{name}.so.0"
    subprocess.run(
        ["gcc", "-shared", f"-Wl,-soname,{library.name}", "-xc", "/dev/null", "-o", str(library)],
        check=True,
    )
    program = build(tmp_path, "int main(void) { return 0; }", "-Wl,--no-as-needed", str(library))
    assert find_lua(program) == LuaFacts(f"lib{name}.so", is_named=True)


def test_what_is_none() -> None:
    for path in ("/usr/bin/true", "/etc/passwd", "/", "/missing", "/dev/null"):
        assert find_lua(Path(path)) is None
