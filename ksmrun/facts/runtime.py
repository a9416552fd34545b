"""Language runtime that a program is or embeds, from what its file links and exports and its name.

redis-server exports lua_newstate, and yet is not Lua.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ksmrun.facts.elf import elf_file, has_note
from ksmrun.facts.elf_head import UnreadableElfError
from ksmrun.facts.java import with_release
from ksmrun.model.launch import TargetFacts
from ksmrun.model.runtime import JAVA, NODE, NODE_APPLICATION, SHELL, Runtime
from ksmrun.support.foreign import resolved

# Prefix of its library (DT_NEEDED), and a function that programs export if they contain it. Of
# several in one program the first counts: a program with LuaJIT has Lua's functions too. Mangled
# name: node::Start(int, char**).
SIGNS = (
    (NODE, "libnode.so", "_ZN4node5StartEiPPc"),
    ("OpenJDK", "libjli.so", "JLI_Launch"),
    ("OpenJDK", "libjvm.so", "JNI_CreateJavaVM"),
    ("Mono", "libmono", "mono_jit_init_version"),
    ("PHP", "libphp", "php_module_startup"),
    ("Ruby", "libruby", "ruby_init"),
    ("CPython", "libpython3", "Py_BytesMain"),
    ("Perl", "libperl.so", "perl_alloc"),
    ("LuaJIT", "libluajit-", "luaJIT_setmode"),
    ("Lua", "liblua5", "lua_newstate"),
)
# Names of the runtimes' own programs. Any other program with such a function embeds an interpreter,
# and most of its memory may be its own. libjli.so is the library of Java launchers.
_VERSION = r"-?v?[\d.]*"
NAMES = {
    NODE: rf"(node|nodejs){_VERSION}",
    "OpenJDK": rf"javaw?{_VERSION}",
    "Mono": rf"mono(-sgen|-boehm)?(32|64)?{_VERSION}",
    "PHP": rf"(php|lsphp)(-fpm|-cgi|-cli|dbg)?{_VERSION}(-fpm|-cgi|-cli)?",
    "Ruby": rf"ruby(-mri)?{_VERSION}",
    "CPython": rf"python{_VERSION}[a-z]{{0,3}}(-dbg|-debug|-intel64)?",
    "Perl": rf"perl{_VERSION}(-[\w-]+)?",
    "LuaJIT": rf"luajit{_VERSION}((alpha|beta|rc)\d*|-beta\d*)?",
    "Lua": rf"luac?{_VERSION}",
}
# The note in which Node looks for an application in its own program (postject's).
APPLICATION_NOTE = b"NODE_SEA_BLOB\0"
LAUNCHER_SIGNS = ("libjli.so", "JLI_Launch")
SHELLS = ("sh", "bash", "dash", "ash", "busybox", "ksh", "mksh", "zsh")


def find_runtime(target: TargetFacts) -> Runtime | None:
    """Return the runtime of the program behind the interpreter lines; None if none is found."""
    if target.path is None or target.elf_class_bits is None:
        return None
    # A link's name is weaker evidence: /bin/sh may be dash, and busybox anything.
    path = Path(resolved(target.path))
    if path.name in SHELLS:
        return Runtime(SHELL, f"{target.path} is a shell")
    try:
        with elf_file(path) as elf:
            needed = _needed(elf)
            if elf.get_section_by_name(".go.buildinfo") is not None:
                return Runtime("Go", "section .go.buildinfo")
            found = decide({Path(target.path).name, path.name}, needed, _exports(elf))
            if found is not None and found.name == NODE and has_note(elf, APPLICATION_NOTE):
                return replace(found, variant=NODE_APPLICATION)
    except UnreadableElfError:
        return None
    if found is None or found.name != JAVA or found.is_inside:
        return found
    return with_release(found, path)


def decide(
    names: set[str], needed: tuple[str, ...], exports: Callable[[str], bool]
) -> Runtime | None:
    """Return the runtime, from the libraries a program needs and whether it exports a function.

    names: of the file, and of the link to it that was started.
    """
    for name, _, function in SIGNS:
        if exports(function):
            return Runtime(name, f"it exports {function}", _is_inside(name, names, function))
    for name, library, _ in SIGNS:
        for found in needed:
            if found.startswith(library):
                return Runtime(name, f"it needs {found}", _is_inside(name, names, library))
    return None


def _is_inside(runtime: str, names: set[str], sign: str) -> bool:
    if sign in LAUNCHER_SIGNS:
        return False
    return not any(re.fullmatch(NAMES[runtime], each) for each in names)


def _needed(elf: object) -> tuple[str, ...]:
    dynamic = elf.get_section_by_name(".dynamic")  # type: ignore[attr-defined]
    if dynamic is None:
        return ()
    return tuple(tag.needed for tag in dynamic.iter_tags() if tag.entry.d_tag == "DT_NEEDED")


def _exports(elf: object) -> Callable[[str], bool]:
    """Return a look-up in the hash table: some runtimes export 100,000 functions."""
    table = elf.get_section_by_name(".gnu.hash")  # type: ignore[attr-defined]
    if table is None:
        return lambda _name: False

    def is_exported(name: str) -> bool:
        symbol = table.get_symbol(name)
        return symbol is not None and symbol["st_shndx"] != "SHN_UNDEF"

    return is_exported
