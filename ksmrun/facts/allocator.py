"""Allocators that replace malloc in a program: libraries that it links, or that are preloaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ksmrun.facts.elf_head import UnreadableElfError, read_head


def linked_libraries(path: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return names of libraries: those of LD_PRELOAD, then those that the program itself needs."""
    preloaded = re.split("[ :]+", environment.get("LD_PRELOAD", ""))
    try:
        needed = read_head(path).needed
    except UnreadableElfError:
        needed = ()
    return (*(Path(word).name for word in preloaded if word), *needed)
