"""Sizes and times for people."""

from __future__ import annotations

MIB, GIB = 1 << 20, 1 << 30


def duration(seconds: float | None) -> str:
    """Format seconds for people: 0.4 s, 12 s, 35 min, 2.1 h; "-" if unknown."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def processes(number: int, verb: str = "") -> str:
    """Return "1 process merges" or "2 processes merge"; without a verb the number alone."""
    if number == 1:
        return f"1 process {verb}s" if verb else "1 process"
    return f"{number} processes {verb}".rstrip()
