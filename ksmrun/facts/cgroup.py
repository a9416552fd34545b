"""Which processes are in a control group (cgroups(7))."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ksmrun.facts.text import read_text

# With --cgroups=split, which Quadlet uses.
PAYLOAD = "/libpod-payload-"


def hierarchies(text: str) -> Iterator[tuple[list[str], str]]:
    """The controllers and the path of each line of a /proc/PID/cgroup (cgroups(7)).

    Whoever may make a cgroup names it, by any bytes but a line feed and a slash.
    """
    for line in text.split("\n"):
        parts = line.split(":", 2)
        if len(parts) == 3:
            yield parts[1].split(","), parts[2]


def members(group: str, root: Path = Path("/")) -> tuple[int, ...]:
    """The PIDs in this group of the systemd hierarchy, and in those below it.

    Read from each process, as where that hierarchy is mounted differs from host to host.
    """
    found = []
    for folder in (root / "proc").iterdir():
        if folder.name.isdigit() and _is_in(read_text(folder / "cgroup") or "", group):
            found.append(int(folder.name))
    return tuple(sorted(found))


def payload(pids: Iterable[int], root: Path = Path("/")) -> tuple[int, ...]:
    """Of a service that runs a container of Podman's, the container's own: not conmon."""
    marked = {pid: PAYLOAD in (read_text(root / f"proc/{pid}/cgroup") or "") for pid in pids}
    return tuple(pid for pid, inside in marked.items() if inside or not any(marked.values()))


def _is_in(text: str, group: str) -> bool:
    return any(
        controllers in ([""], ["name=systemd"]) and f"{path}/".startswith(f"{group}/")
        for controllers, path in hierarchies(text)
    )
