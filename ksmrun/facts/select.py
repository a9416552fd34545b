"""Which processes an operator means: by number, command line, systemd unit or container."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from ksmrun.facts.text import read_text
from ksmrun.model import KsmrunError

# Of a container's ID; engines show 12.
ID_DIGITS_MIN = 4


def matching(pattern: str) -> tuple[int, ...]:
    """Processes whose command line, words parted by blanks, holds the pattern; not this one, nor
    those that started it (sudo, a shell with the pattern in its line). Raises KsmrunError.
    """
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise KsmrunError(
            f"{pattern!r} is no regular expression: {error}", "look at it; a dot is \\."
        ) from error
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if line and process.pid not in own and regex.search(line):
            found.append(process.pid)
    return tuple(found)


def in_unit(unit: str, root: Path = Path("/")) -> tuple[int, ...]:
    """Processes of a systemd unit (the system's or a user's); .service where no type is named."""
    name = unit if "." in unit else f"{unit}.service"
    return _in_group(lambda part: part == name, root)


def in_container(name: str, root: Path = Path("/")) -> tuple[int, ...]:
    """Processes of a container, by the beginning of its ID."""
    if len(name) < ID_DIGITS_MIN or re.fullmatch("[0-9a-f]+", name) is None:
        return ()
    id_part = re.compile(f"(?:^|[-:]){name}[0-9a-f]*(?:\\.scope)?$")
    return _in_group(lambda part: id_part.search(part) is not None, root)


def _in_group(is_it: Callable[[str], bool], root: Path) -> tuple[int, ...]:
    found = []
    for folder in (root / "proc").iterdir():
        if not folder.name.isdigit():
            continue
        paths = (
            line.split(":", 2)[-1] for line in (read_text(folder / "cgroup") or "").split("\n")
        )
        if any(is_it(part) for path in paths for part in path.split("/")):
            found.append(int(folder.name))
    return tuple(sorted(found))


def programs(pids: Sequence[int], root: Path = Path("/")) -> dict[str, list[int]]:
    """The processes by their executable file; those that cannot be told are under ""."""
    found: dict[str, list[int]] = {}
    for pid in pids:
        try:
            name = str((root / f"proc/{pid}/exe").readlink())
        except OSError:
            name = ""
        found.setdefault(name, []).append(pid)
    return found
