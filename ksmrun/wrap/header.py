"""First lines of every file that ksmrun writes for a service: its author, and how to undo it."""

from __future__ import annotations

import shlex

from ksmrun.model.wrap import DROP_IN, HEADER_MARK


def header(command: str, what: str, remove: str, without: str = "") -> str:
    """Return comment lines, valid in systemd, Quadlet and YAML files.

    command: that wrote the file, without "ksmrun". without: how to remove it without ksmrun.
    """
    by_hand = f"# Without ksmrun: {without}\n" if without else ""
    return f"{HEADER_MARK}{command}`: {what}.\n# To remove it: {remove}\n{by_hand}"


def without_ksmrun(folder: str, name: str, service: str, scope: str) -> str:
    """Return the commands that remove a drop-in. folder: of units. scope: "--user " or empty."""
    sudo, systemctl = ("", "systemctl --user") if scope else ("sudo ", "sudo systemctl")
    file = f"{folder}/{shlex.quote(f'{name}.d/{DROP_IN}')}"
    return f"{sudo}rm {file} && {systemctl} daemon-reload && {systemctl} restart {service}"
