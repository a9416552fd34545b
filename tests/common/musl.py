"""Debian's musl for i386, kept between runs and used as its own musl-gcc would."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from debs import cache_folder, unpack


def musl_i386() -> list[str]:
    """Return a compiler command; what it links runs on this host, as long as musl is kept."""
    kept = cache_folder() / "musl-i386"
    if not kept.exists():
        _make(kept)
    specs = kept / "usr/lib/i386-linux-musl/musl-gcc.specs"
    loader = kept / "lib/ld-musl-i386.so.1"
    words = ["gcc-12", "-m32", f"-specs={specs}", f"-L{kept}/lib/i386-linux-musl"]
    # The specs ask for the compiler's own machine. The kernel's headers, which musl does not have.
    words += [f"-Wl,-m,elf_i386,-dynamic-linker,{loader}"]
    return [*words, "-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"]


def _make(kept: Path) -> None:
    made = kept.with_name(f"{kept.name}-{os.urandom(4).hex()}")
    made.mkdir()
    for package in ("musl:i386", "musl-dev:i386"):
        unpack(package, made)
    (specs,) = made.rglob("musl-gcc.specs")
    specs.write_text(specs.read_text().replace("/usr/", f"{kept}/usr/"))
    try:
        made.rename(kept)
    except OSError:
        # Another worker was quicker.
        shutil.rmtree(made)
