"""Detect Lua in a program, and whether the preloaded shim would find its functions by name."""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ksmrun.facts.elf import UnreadableElfError, elf_file

# lapi.c: lua_ident, since 5.2, the first version with a seed; luajit.h: LUAJIT_VERSION.
IDENTS = {b"$LuaVersion: " + name.encode(): name for name in ("Lua 5.2", "Lua 5.3", "Lua 5.4")}
IDENTS[b"LuaJIT 2.1"] = "LuaJIT 2.1"
LIBRARY = re.compile(r"lib(lua-?5\.?[234]|luajit-5\.1)\b.*\.so")
# See native/shim/lua.c.
SEEDING_FUNCTION = "lua_newstate"


@dataclass(frozen=True)
class LuaFacts:
    """Lua in a program: its version, or the library that the program links.

    Also whether its function that takes a seed has a name that the shim can find.
    """

    name: str
    is_named: bool


def find_lua(path: Path) -> LuaFacts | None:
    """Return the Lua in an ELF file or in a library that it needs.

    None if there is none, or the file cannot be read. Libraries loaded at run time are not seen.
    """
    try:
        with elf_file(path) as elf:
            dynamic: Any = elf.get_section_by_name(".dynamic")
            for tag in () if dynamic is None else dynamic.iter_tags("DT_NEEDED"):
                if match := LIBRARY.match(tag.needed):
                    return LuaFacts(match[0], is_named=True)
            with mmap.mmap(elf.stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                name = next((IDENTS[ident] for ident in IDENTS if content.find(ident) >= 0), None)
            if name is None:
                return None
            symbols: Any = elf.get_section_by_name(".gnu.hash")
            symbol = None if symbols is None else symbols.get_symbol(SEEDING_FUNCTION)
            is_named = symbol is not None and symbol.entry.st_shndx != "SHN_UNDEF"
            return LuaFacts(name, is_named)
    except UnreadableElfError:
        return None
