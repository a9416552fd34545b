"""Runtimes recognised in real files, and the messages about them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ksmrun.facts.runtime import SIGNS, decide, find_runtime
from ksmrun.facts.target import look_at
from ksmrun.model.runtime import NODE_APPLICATION, SHELL, Runtime
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
    exports = build(tmp_path / "exports", source, "-Wl,-E")
    assert runtime_name(exports) == name
    # Not exported: another function of the same name.
    assert runtime_name(build(tmp_path / "hides", source)) is None
    soname = f"{library}x.so.1"
    shared = build(
        tmp_path / soname, f"void {function}(void) {{}}", "-shared", f"-Wl,-soname,{soname}"
    )
    caller = f"void {function}(void); int main(void) {{ {function}(); return 0; }}"
    needs = build(tmp_path / "needs", caller, shared)
    assert runtime_name(needs) == name
    # No program of the runtime is called so: it has the interpreter inside, among other things.
    # Only a launcher of Java has libjli.
    assert is_inside(exports) == (function != "JLI_Launch")
    assert is_inside(needs) == (library != "libjli.so")


def is_inside(file: Path) -> bool:
    found = find_runtime(look_at(str(file).encode(), PATH))
    return found is not None and found.is_inside


OWN_NAMES = {
    "CPython": "python python3 python3.11 python3.11-dbg python3.13t",
    "Perl": "perl perl5.36.0 perl5.36-x86_64-linux-gnu",
    "PHP": "php php8.2 php-fpm php-fpm8.2 php-cgi php8.2-cgi phpdbg8.2 lsphp",
    "Ruby": "ruby ruby3.1 ruby-mri",
    "Lua": "lua lua5.4 lua54 luac5.3",
    "LuaJIT": "luajit luajit-2.1.0-beta3",
    "Mono": "mono mono-sgen",
    "Node.js": "node nodejs node18",
    "OpenJDK": "java",
}
OTHER_NAMES = "redis-server nginx vim.nox uwsgi gdb nmap blender pythonista lua-server javac2 noded"


@pytest.mark.parametrize("runtime", OWN_NAMES)
def test_the_name_tells_an_interpreter_from_a_program_with_one_inside(runtime: str) -> None:
    function = next(function for name, _, function in SIGNS if name == runtime)
    if runtime == "OpenJDK":
        function = "JNI_CreateJavaVM"
    for name in OWN_NAMES[runtime].split():
        assert decide({name}, (), function.__eq__) == Runtime(runtime, f"it exports {function}")
        # A link of another name, as /opt/game/script, changes nothing.
        found = decide({"script", name}, (), function.__eq__)
        assert found is not None
        assert not found.is_inside
    for name in OTHER_NAMES.split():
        found = decide({name}, (), function.__eq__)
        assert found is not None
        assert found.is_inside


def test_a_link_to_an_interpreter_is_one_and_is_named(tmp_path: Path) -> None:
    link = tmp_path / "worker"
    link.symlink_to("/usr/bin/perl")
    assert runtime_name(link) == "Perl"
    assert not is_inside(link)
    shell = tmp_path / "starter"
    shell.symlink_to("/bin/dash")
    found = find_runtime(look_at(str(shell).encode(), PATH))
    assert found == Runtime(SHELL, f"{shell} is a shell")


def test_a_go_program(tmp_path: Path) -> None:
    section = '__asm__(".section .go.buildinfo,\\"a\\"; .byte 1; .text"); int main(void) {}'
    assert runtime_name(build(tmp_path / "go", section, "-static")) == "Go"


NOTE = r"""
__asm__(".pushsection .note.app,\"a\",@note\n.balign 4\n.long %d, 5, 0\n.asciz \"%s\"\n"
        ".balign 4\n.long 0, 0\n.popsection");
"""


@pytest.mark.parametrize("name", ["NODE_SEA_BLOB", "NODE_SEA_BLOC", "NODE_SEA"])
def test_an_application_in_node(tmp_path: Path, name: str) -> None:
    source = "void _ZN4node5StartEiPPc(void) {} int main(void) { return 0; }"
    note = NOTE % (len(name) + 1, name)
    node = build(tmp_path / "node", f"{source}{note}", "-Wl,-E")
    found = find_runtime(look_at(str(node).encode(), PATH))
    assert found is not None and found.name == "Node.js"
    assert (found.variant == NODE_APPLICATION) is (name == "NODE_SEA_BLOB")


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
    assert {name for name, _, _ in SIGNS} | {"Go"} == {name.split()[0] for name in RUNTIMES}
