"""Obstacles to a shared layout of a running program, as far as they show from outside."""

from __future__ import annotations

import stat
from pathlib import Path

from ksmrun.facts.capabilities import grants_capabilities
from ksmrun.facts.text import parse_fields, read_text

# elf(5): e_ident[EI_CLASS], and e_machine after e_ident and e_type.
EI_CLASS, ELFCLASS64, E_MACHINE, EM_386 = 4, 2, 18, 3
HEAD_BYTES = E_MACHINE + 2
ADDR_COMPAT_LAYOUT = 0x0200000


def why_no_layout(process: Path) -> str | None:
    """Return the first obstacle found in this /proc folder; None if none is visible.

    ksmrun-exec checks the same at the exec (native/layout/decide.c).
    """
    try:
        mode = (process / "exe").stat().st_mode
        with (process / "exe").open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return "its file cannot be read"
    if mode & (stat.S_ISUID | stat.S_ISGID) or grants_capabilities(process / "exe"):
        return "it changes user, group or capabilities at exec, and is not traced then"
    if len(head) == HEAD_BYTES and head[EI_CLASS] != ELFCLASS64 and head[E_MACHINE] != EM_386:
        return "it is a 32-bit program, but not i386's, and has no shared layout"
    if int((read_text(process / "personality") or "0").strip() or "0", 16) & ADDR_COMPAT_LAYOUT:
        return "it has the legacy address layout (setarch -L)"
    for line in (read_text(process / "limits") or "").splitlines():
        if line.startswith("Max address space") and line.split()[3] != "unlimited":
            return "its address space is limited (ulimit -v), and a part would have to be reserved"
    return None


def starts_from_container_init(process: Path) -> bool:
    """Return whether it was started in a PID namespace of its own, and not as its PID 1."""
    numbers = parse_fields(read_text(process / "status") or "").get("NSpid", "").split()
    return len(numbers) > 1 and numbers[-1] != "1"
