"""Which processes are in a control group (cgroups(7))."""

from __future__ import annotations

from pathlib import Path

from ksmrun.facts.text import read_text


def members(group: str, root: Path = Path("/")) -> tuple[int, ...]:
    """The PIDs in this group of the systemd hierarchy, and in those below it.

    Read from each process, as where that hierarchy is mounted differs from host to host.
    """
    found = []
    for folder in (root / "proc").iterdir():
        if folder.name.isdigit() and _is_in(read_text(folder / "cgroup") or "", group):
            found.append(int(folder.name))
    return tuple(sorted(found))


def _is_in(text: str, group: str) -> bool:
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "name=systemd") and f"{path}/".startswith(f"{group}/"):
            return True
    return False
