"""Select processes by PID, command line, systemd unit or container."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ksmrun.facts.cgroup import hierarchies
from ksmrun.facts.containers import container_name
from ksmrun.facts.pids import all_pids
from ksmrun.facts.placement import placement
from ksmrun.facts.stat import command_words
from ksmrun.facts.text import read_or_raise
from ksmrun.support.foreign import resolved
from ksmrun.support.match import those_with
from ksmrun.support.unitname import full_name, has_cgroup

# Minimum length of an abbreviated container ID; engines show 12.
ID_DIGITS_MIN = 4


def matching(pattern: str) -> tuple[int, ...]:
    """Return the processes whose command line, joined by blanks, contains the pattern.

    Without this process and its ancestors (sudo, a shell with the pattern in its line). Raises
    KsmrunError.
    """
    # Imported here: it takes longer than most commands, and few of those select by --match.
    import psutil

    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    lines = [(pid, " ".join(command_words(Path(f"/proc/{pid}")))) for pid in all_pids()]
    return those_with(
        "--match", pattern, ((pid, line) for pid, line in lines if line and pid not in own)
    )


def in_unit(unit: str, root: Path = Path("/")) -> tuple[int, ...]:
    """Return the processes of a systemd unit (system or user), named as for systemctl.

    A template means all its instances.
    """
    name = full_name(unit)
    return _where(lambda _pid, text: _is_of_unit(name, text), root)


def _is_of_unit(name: str, text: str) -> bool:
    paths = (path for _, path in hierarchies(text))
    return any(has_cgroup(name, folder) for path in paths for folder in path.split("/"))


def in_container(name: str, root: Path = Path("/")) -> tuple[int, ...]:
    """Return the processes of a container, given by its name or the beginning of its ID."""
    names: dict[str, str] = {}

    def is_meant(pid: int, text: str) -> bool:
        container = placement(text).container
        if container is None:
            return False
        if len(name) >= ID_DIGITS_MIN and container.id.startswith(name):
            return True
        if container.id not in names:
            names[container.id] = container_name(container, pid, root)
        return names[container.id] == name

    return _where(is_meant, root)


def _where(is_meant: Callable[[int, str], bool], root: Path) -> tuple[int, ...]:
    """Return the PIDs that fulfil a condition on PID and text of /proc/PID/cgroup."""
    numbers = (int(each.name) for each in (root / "proc").iterdir() if each.name.isdigit())
    texts = ((pid, read_or_raise(root / f"proc/{pid}/cgroup")) for pid in numbers)
    return tuple(sorted(pid for pid, text in texts if text and is_meant(pid, text)))


def programs(pids: Sequence[int], root: Path = Path("/")) -> dict[str, list[int]]:
    """Return the processes by executable file; unknown ones are under "".

    A file that was started by a link beside it has the link's name.
    """
    found: dict[str, list[int]] = {}
    for pid in pids:
        try:
            executable = str((root / f"proc/{pid}/exe").readlink())
        except OSError:
            executable = ""
        found.setdefault(executable, []).append(pid)
    return {
        _started_as(executable, root / f"proc/{those[0]}"): those
        for executable, those in found.items()
    }


def _started_as(executable: str, folder: Path) -> str:
    """Return the link by which the file was started.

    The kernel knows /usr/bin/redis-server as redis-check-rdb, and /bin/sh perhaps as busybox.
    """
    # A title that a program gave itself has blanks (setproctitle(3)).
    words = " ".join(command_words(folder)[:1]).split()
    name = Path(words[0]).name if words else ""
    if not executable or not name:
        return executable
    # Words are the program's own to choose, so the file system decides.
    started = Path(executable).with_name(name)
    return str(started) if resolved(started) == resolved(executable) else executable
