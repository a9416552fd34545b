"""Switch KSM on at every boot, by one line for systemd-tmpfiles (tmpfiles.d(5))."""

from __future__ import annotations

from pathlib import Path

from ksmrun.host.owned_files import is_foreign, remove_ours, write_ours

FILE = Path("etc/tmpfiles.d/ksmrun.conf")
HEADER = "# Written by `ksmrun host on --boot`; taken away by `ksmrun host off --boot`.\n"
TEXT = HEADER + "w /sys/kernel/mm/ksm/run - - - - 1\n"


def enable(root: Path) -> str:
    """Write the file; return the line to show. Never overwrites a file that is not ours."""
    write_ours(root / FILE, TEXT)
    return f"on at every boot: /{FILE}"


def disable(root: Path) -> str:
    """Delete the file if it is ours; return the line to show."""
    if not remove_ours(root / FILE):
        return "not on at boot"
    return f"no longer on at boot: /{FILE} deleted"


def is_enabled(root: Path) -> bool:
    """Return whether our file exists."""
    return (root / FILE).exists() and not is_foreign(root / FILE)
