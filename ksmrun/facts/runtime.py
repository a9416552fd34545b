"""Which language runtime a program is, or has in it: by what its file links and exports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ksmrun.facts.elf import UnreadableElfError, elf_file
from ksmrun.model import TargetFacts
from ksmrun.support.foreign import resolved

# What its library is called (DT_NEEDED begins so), and a function that its programs export where
# they have it in them. Where several are in one program, the first counts: who has LuaJIT has Lua's
# functions too. mangled: node::Start(int, char**).
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
# A start script: what it starts is what counts.
SHELL = "shell"
SHELLS = ("sh", "bash", "dash", "ash", "busybox", "ksh", "mksh", "zsh")


@dataclass(frozen=True)
class Runtime:
    """Its name, as plan/runtimes.py knows it, and what it was known by."""

    name: str
    evidence: str


def find_runtime(target: TargetFacts) -> Runtime | None:
    """Of the program at the end of the interpreter lines; None where there is no sign of one."""
    if target.path is None or target.elf_class_bits is None:
        return None
    # A link's name says less: /bin/sh may be dash, and busybox anything.
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
    """The runtime from the libraries that a program needs and whether it exports a function."""
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
    """By the hash table: some runtimes export 100,000 functions."""
    table = elf.get_section_by_name(".gnu.hash")  # type: ignore[attr-defined]
    if table is None:
        return lambda _name: False

    def is_exported(name: str) -> bool:
        symbol = table.get_symbol(name)
        return symbol is not None and symbol["st_shndx"] != "SHN_UNDEF"

    return is_exported
