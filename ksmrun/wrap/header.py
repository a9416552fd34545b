"""First lines of every file that ksmrun writes for a service: its author, and how to undo it."""

from __future__ import annotations

from ksmrun.model.wrap import HEADER_MARK


def header(command: str, what: str, remove: str) -> str:
    """Return two comment lines, valid in systemd, Quadlet and YAML files.

    command: that wrote the file, without "ksmrun".
    """
    return f"{HEADER_MARK}{command}`: {what}.\n# To remove it: {remove}\n"
