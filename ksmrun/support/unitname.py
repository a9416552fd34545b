"""Names of units, as systemctl(1) takes them and systemd's src/basic/unit-name.c has them.

A dot makes no type: php8.2-fpm is php8.2-fpm.service.
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
    """Return the type that the name ends in; None where it has none."""
    stem, dot, suffix = name.rpartition(".")
    return suffix if stem and dot and suffix in UNIT_TYPES else None


def full_name(word: str) -> str:
    """Return the unit that a word of a user's means: unit_name_mangle() without its globs.

    A path is that of a mount or a device, and without a type a service is meant.
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
    """Return what stands for a path in a name (unit_name_path_escape())."""
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
    """Return whether it stands for all instances: NAME@.TYPE."""
    return bool(unit_type(name)) and name.rpartition(".")[0].endswith("@")


def short_name(name: str) -> str:
    """Return a service's name without its type, where that still means it."""
    short = name.removesuffix(".service")
    return short if short and full_name(short) == name else name


def unescaped(folder: str) -> str:
    """Return the unit of a cgroup: where files of the kernel's have such names, or it begins with
    an underscore itself, one is put before it (cg_unescape() in src/basic/cgroup-util.c).
    """
    return folder.removeprefix("_")


def has_cgroup(name: str, folder: str) -> bool:
    """Return whether a cgroup of this name is the unit's, or an instance of the template's."""
    there = unescaped(folder)
    if not is_template(name):
        return there == name
    return there.startswith(name.rpartition(".")[0]) and unit_type(there) == unit_type(name)


def _escape(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
