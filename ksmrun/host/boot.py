"""KSM on at every boot: one line for systemd-tmpfiles (tmpfiles.d(5))."""

from __future__ import annotations

from pathlib import Path

from ksmrun.facts.text import read_text
from ksmrun.model import KsmrunError

FILE = Path("etc/tmpfiles.d/ksmrun.conf")
HEADER = "# Written by `ksmrun host on --boot`; taken away by `ksmrun host off --boot`.\n"
TEXT = HEADER + "w /sys/kernel/mm/ksm/run - - - - 1\n"


def enable(root: Path) -> str:
    """Writes the file; returns the line to show. Never overwrites a file of somebody else's."""
    file = root / FILE
    if _is_foreign(file):
        raise KsmrunError(f"/{FILE} is not ours", "move it away, or add the line there yourself")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.new")
        temporary.write_text(TEXT, encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        raise _cannot(error) from error
    return f"on at every boot: /{FILE}"


def disable(root: Path) -> str:
    """Deletes the file if it is ours; returns the line to show."""
    file = root / FILE
    if not file.exists():
        return "not on at boot"
    if _is_foreign(file):
        raise KsmrunError(f"/{FILE} is not ours", "look at it, and delete it yourself")
    try:
        file.unlink()
    except OSError as error:
        raise _cannot(error) from error
    return f"no longer on at boot: /{FILE} deleted"


def is_enabled(root: Path) -> bool:
    """Whether our file is there."""
    return (root / FILE).exists() and not _is_foreign(root / FILE)


def _is_foreign(file: Path) -> bool:
    text = read_text(file)
    return text is not None and not text.startswith(HEADER)


def _cannot(error: OSError) -> KsmrunError:
    return KsmrunError(f"cannot change /{FILE}: {error.strerror}", "run this as root")
