"""Whether a running process was started with its group's seed for the shim."""

from __future__ import annotations

from pathlib import Path

from ksmrun.facts.stat import memory_folder
from ksmrun.support.foreign import raise_shortage, read_bytes

VARIABLE, WORD = b"KSMRUN_SHIM=", b"seed="


def has_group_seed(folder: Path) -> bool | None:
    """Return what its environment said at its start; None if that cannot be read."""
    try:
        entries = read_bytes(memory_folder(folder) / "environ").split(b"\0")
    except OSError as error:
        raise_shortage(error)
        return None
    words = [word for entry in entries if entry.startswith(VARIABLE) for word in _words(entry)]
    return any(word.startswith(WORD) for word in words)


def _words(entry: bytes) -> list[bytes]:
    return entry.removeprefix(VARIABLE).split(b",")
