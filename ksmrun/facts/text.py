"""Small files of /proc and /sys: absent, forbidden and malformed ones are None."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from ksmrun.model.errors import KsmrunError
from ksmrun.support.foreign import READ_BYTES_MAX, drain, raise_shortage

# A FIFO that the user names is waited for.
FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY
RECORD_BYTES_MAX = 1 << 16


def read_text(path: Path, limit: int = READ_BYTES_MAX) -> str | None:
    """Return the text of a file of the kernel, or of one that the user named.

    Up to limit bytes, undecodable ones escaped; None if it cannot be read. For paths that others
    chose use support/foreign.py.
    """
    try:
        return _read(path, limit)
    except (OSError, ValueError):
        return None


def read_or_raise(path: Path | str, limit: int = READ_BYTES_MAX) -> str | None:
    """Return the same, or None only for an absent, forbidden or garbled file.

    Raises OSError if descriptors or memory ran out.
    """
    try:
        return _read(path, limit)
    except OSError as error:
        raise_shortage(error)
    except ValueError:
        pass
    return None


def kernel_text(path: Path | str) -> str:
    """Return the text of a file of the kernel that has one record, which is ASCII. Raises OSError.

    The kernel prints a record at once (fs/seq_file.c), so nobody asks for an end.
    """
    descriptor = os.open(path, FLAGS)
    try:
        return os.read(descriptor, RECORD_BYTES_MAX).decode("ascii", "replace")
    finally:
        os.close(descriptor)


def read_input(file: str, todo: str) -> str:
    """Return the text of a file that the user named; "-" is stdin. Raises KsmrunError."""
    try:
        if file != "-":
            return _read(Path(file), READ_BYTES_MAX)
        # None if it was closed; its number may then be that of another file.
        if sys.stdin is None:
            raise OSError(errno.EBADF, "it is closed")
        return sys.stdin.buffer.read(READ_BYTES_MAX).decode("utf-8", "surrogateescape")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        name = "stdin" if file == "-" else file
        raise KsmrunError(f"cannot read {name}: {why}", todo) from error


def _read(path: Path | str, limit: int) -> str:
    return drain(os.open(path, FLAGS), limit).decode("utf-8", "surrogateescape")


def read_int(path: Path) -> int | None:
    """Return the file's only number; None if it is unreadable or something else."""
    text = read_text(path)
    return None if text is None else parse_int(text)


def parse_int(text: str) -> int | None:
    """Return a decimal number as the kernel prints it; None for anything else."""
    stripped = text.strip()
    digits = stripped.removeprefix("-")
    return int(stripped) if digits.isascii() and digits.isdigit() and len(digits) <= 20 else None


def parse_fields(text: str) -> dict[str, str]:
    """Parse lines "name value" or "name: value [unit]", as in ksm_stat, status and meminfo."""
    fields = {}
    # Not splitlines(), which splits a name at U+2028 or \x1c.
    for line in text.split("\n"):
        name, _, value = line.partition(":") if ":" in line else line.partition(" ")
        fields[name.strip()] = value.strip()
    return fields


def kib_fields(text: str, names: Iterable[str]) -> dict[str, int | None]:
    """Return the named fields of a text like /proc/meminfo, in bytes."""
    sizes: dict[str, int | None] = dict.fromkeys(names)
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        if name in sizes:
            number = parse_int(value.rstrip().removesuffix("kB"))
            sizes[name] = None if number is None else number * 1024
    return sizes


def bracketed(text: str | None) -> str | None:
    """Return the chosen word of a sysfs file like "always [madvise] never"."""
    if text is None or "[" not in text or "]" not in text:
        return None
    return text[text.index("[") + 1 : text.index("]")]
