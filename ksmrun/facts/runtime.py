"""Language runtime that a program is or embeds, from what its file links and exports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ksmrun.facts.elf import UnreadableElfError, elf_file
from ksmrun.model import TargetFacts
from ksmrun.support.foreign import resolved

# Prefix of its library (DT_NEEDED), and a function that programs export if they contain it. Of
# several in one program the first counts: a program with LuaJIT has Lua's functions too. Mangled
# name: node::Start(int, char**).
SIGNS = (
    ("Node.js", "libnode.so", "_ZN4node5StartEiPPc"),
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
# A start script: the program that it starts is what counts.
SHELL = "shell"
SHELLS = ("sh", "bash", "dash", "ash", "busybox", "ksh", "mksh", "zsh")


@dataclass(frozen=True)
class Runtime:
    """Runtime: its name, as plan/runtimes.py knows it, and the evidence for it."""

    name: str
    evidence: str


def find_runtime(target: TargetFacts) -> Runtime | None:
    """Return the runtime of the program behind the interpreter lines; None if none is found."""
    if target.path is None or target.elf_class_bits is None:
        return None
    # A link's name is weaker evidence: /bin/sh may be dash, and busybox anything.
    path = Path(resolved(target.path))
    if path.name in SHELLS:
        return Runtime(SHELL, f"{path} is a shell")
    try:
        with elf_file(path) as elf:
            needed = _needed(elf)
            if elf.get_section_by_name(".go.buildinfo") is not None:
                return Runtime("Go", "section .go.buildinfo")
            return decide(needed, _exports(elf))
    except UnreadableElfError:
        return None


def decide(needed: tuple[str, ...], exports: Callable[[str], bool]) -> Runtime | None:
    """Return the runtime, from the libraries a program needs and whether it exports a function."""
    for name, _, function in SIGNS:
        if exports(function):
            return Runtime(name, f"it exports {function}")
    for name, library, _ in SIGNS:
        for found in needed:
            if found.startswith(library):
                return Runtime(name, f"it needs {found}")
    return None


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
