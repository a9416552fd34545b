"""The first lines of every file that ksmrun writes for a service: who wrote it, how to undo it."""

from __future__ import annotations

from ksmrun.model.wrap import HEADER_MARK


def header(command: str, what: str, remove: str) -> str:
    """Two lines of comment, as systemd, Quadlet and YAML files have them.

    command: what wrote it, without "ksmrun".
    """
    return f"{HEADER_MARK}{command}`: {what}.\n# To remove it: {remove}\n"
