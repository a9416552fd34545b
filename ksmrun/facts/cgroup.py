"""Processes of a control group (cgroups(7))."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ksmrun.facts.text import read_text

# Used with --cgroups=split, Quadlet's default.
PAYLOAD = "/libpod-payload-"


def hierarchies(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield the controllers and the path of each line of a /proc/PID/cgroup (cgroups(7)).

    Whoever may create a cgroup chooses its name: any bytes except a line feed and a slash.
    """
    for line in text.split("\n"):
        parts = line.split(":", 2)
        if len(parts) == 3:
            yield parts[1].split(","), parts[2]


def members(group: str, root: Path = Path("/")) -> tuple[int, ...]:
    """Return the PIDs in this group of the systemd hierarchy and in the groups below it.

    Read from each process, because the mount point of that hierarchy differs between hosts.
    """
    found = []
    for folder in (root / "proc").iterdir():
        if folder.name.isdigit() and _is_in(read_text(folder / "cgroup") or "", group):
            found.append(int(folder.name))
    return tuple(sorted(found))


def payload(pids: Iterable[int], root: Path = Path("/")) -> tuple[int, ...]:
    """Return the processes of the Podman container in a service: all but conmon's."""
    marked = {pid: PAYLOAD in (read_text(root / f"proc/{pid}/cgroup") or "") for pid in pids}
    return tuple(pid for pid, inside in marked.items() if inside or not any(marked.values()))


def _is_in(text: str, group: str) -> bool:
    return any(
        controllers in ([""], ["name=systemd"]) and f"{path}/".startswith(f"{group}/")
        for controllers, path in hierarchies(text)
    )
