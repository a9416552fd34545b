"""Unit names, as systemctl(1) accepts them (systemd: src/basic/unit-name.c).

A dot alone makes no type: php8.2-fpm means php8.2-fpm.service.
"""

from __future__ import annotations

import string

# unit_type_table in src/basic/unit-def.c.
UNIT_TYPES = (
    *("service", "mount", "swap", "socket", "target", "device", "automount", "timer", "path"),
    *("slice", "scope"),
)
# VALID_CHARS in src/basic/unit-name.c.
VALID = string.ascii_letters + string.digits + ":-_.\\"


def unit_type(name: str) -> str | None:
    """Return the unit type that the name ends in; None if it has none."""
    stem, dot, suffix = name.rpartition(".")
    return suffix if stem and dot and suffix in UNIT_TYPES else None


def full_name(word: str) -> str:
    """Return the unit that the user means: unit_name_mangle() without its globs.

    A path means its mount or device unit; a name without a type means a service.
    """
    if word.startswith("/"):
        is_device = word.startswith("/dev/")
        return f"{path_name(word)}.{'device' if is_device else 'mount'}"
    name = "".join(
        "-" if character == "/" else character if character in VALID + "@" else _escape(character)
        for character in word
    )
    return name if unit_type(name) else f"{name}.service"


def path_name(path: str) -> str:
    """Return a path as it is written in a unit name (unit_name_path_escape())."""
    text = "/".join(part for part in path.split("/") if part not in ("", "."))
    if not text:
        return "-"
    return "".join(
        "-"
        if character == "/"
        else character
        if character in VALID and character not in "-\\" and (index or character != ".")
        else _escape(character)
        for index, character in enumerate(text)
    )


def is_template(name: str) -> bool:
    """Return whether the name is a template, NAME@.TYPE, which stands for all its instances."""
    return bool(unit_type(name)) and name.rpartition(".")[0].endswith("@")


def short_name(name: str) -> str:
    """Return a service's name without ".service", if that still means the same unit."""
    short = name.removesuffix(".service")
    return short if short and full_name(short) == name else name


def unescaped(folder: str) -> str:
    """Return the unit name of a cgroup folder (cg_unescape() in src/basic/cgroup-util.c).

    systemd puts an underscore before names that begin with one or that the kernel's own files have.
    """
    return folder.removeprefix("_")


def has_cgroup(name: str, folder: str) -> bool:
    """Return whether a cgroup has the unit's name, or that of an instance of the template."""
    there = unescaped(folder)
    if not is_template(name):
        return there == name
    return there.startswith(name.rpartition(".")[0]) and unit_type(there) == unit_type(name)


def _escape(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
