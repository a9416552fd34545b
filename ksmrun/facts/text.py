"""Small files of /proc and /sys: absent, forbidden and garbled ones are None."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def read_text(path: Path) -> str | None:
    """The file's text, undecodable bytes escaped; None where it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return None


def read_int(path: Path) -> int | None:
    """The file's only number; None where it cannot be read or holds something else."""
    text = read_text(path)
    return None if text is None else parse_int(text)


def parse_int(text: str) -> int | None:
    """A decimal number as the kernel prints it; None for anything else."""
    stripped = text.strip()
    digits = stripped.removeprefix("-")
    return int(stripped) if digits.isascii() and digits.isdigit() and len(digits) <= 20 else None


def parse_fields(text: str) -> dict[str, str]:
    """Lines "name value" or "name: value [unit]", as in ksm_stat, status and meminfo."""
    fields = {}
    for line in text.splitlines():
        name, _, value = line.partition(":") if ":" in line else line.partition(" ")
        fields[name.strip()] = value.strip()
    return fields


def kib_fields(text: str, names: Iterable[str]) -> dict[str, int | None]:
    """The named fields of a text like /proc/meminfo, in bytes."""
    fields = parse_fields(text)
    sizes: dict[str, int | None] = {}
    for name in names:
        number = parse_int(fields.get(name, "").removesuffix("kB"))
        sizes[name] = None if number is None else number * 1024
    return sizes


def bracketed(text: str | None) -> str | None:
    """The chosen word of a sysfs file like "always [madvise] never"."""
    if text is None or "[" not in text or "]" not in text:
        return None
    return text[text.index("[") + 1 : text.index("]")]


def printable(text: str) -> str:
    """One line, without what would steer a terminal, and encodable."""
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean.encode("utf-8", "replace").decode("utf-8")
