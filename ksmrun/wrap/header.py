"""First lines of every file that ksmrun writes for a service: its author, and how to undo it."""

from __future__ import annotations

import shlex

from ksmrun.model.wrap import DROP_IN, HEADER_MARK
from ksmrun.support.words import printable


def header(command: str, what: str, remove: str, without: str = "") -> str:
    """Return comment lines, valid in systemd, Quadlet and YAML files.

    command: that wrote the file, without "ksmrun". without: how to remove it without ksmrun.
    """
    by_hand = comment(f"Without ksmrun: {without}") if without else ""
    text = f"{HEADER_MARK}{printable(command)}`: {printable(what)}.\n"
    return text + comment(f"To remove it: {remove}") + by_hand


def comment(text: str) -> str:
    """Return a comment line. A file's name may contain a line feed, and what follows one counts."""
    return f"# {printable(text)}\n"


def without_ksmrun(folder: str, name: str, service: str, scope: str) -> str:
    """Return the commands that remove a drop-in. folder: of units. scope: "--user " or empty."""
    sudo, systemctl = ("", "systemctl --user") if scope else ("sudo ", "sudo systemctl")
    file = f"{folder}/{shlex.quote(f'{name}.d/{DROP_IN}')}"
    return f"{sudo}rm {file} && {systemctl} daemon-reload && {systemctl} restart {service}"
