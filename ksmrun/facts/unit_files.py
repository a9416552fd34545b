"""Files of a service, found without asking systemd (systemd.unit(5))."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

# The first has priority. A file linked to /dev/null masks those of its name further down.
FOLDERS = ("etc", "run", "usr/local/lib", "usr/lib", "lib")
# In homes, before and after those of all users in /etc and /run.
OWN, OWN_DATA = ".config/systemd/user", ".local/share/systemd/user"
# Bound: in a home there may be as many files as its owner likes.
FILES_MAX = 200


def unit_folders(drop_in: Path, root: Path = Path("/")) -> list[Path]:
    """Return where the files of a drop-in's unit may be, those with priority first."""
    place = drop_in.parent.parent
    if place.name != "user":
        return [root / folder / "systemd/system" for folder in FOLDERS]
    folders = [root / folder / "systemd/user" for folder in FOLDERS]
    for below in (OWN, OWN_DATA):
        if place.match(f"*/{below}"):
            home = place.parents[below.count("/")]
            return [home / OWN, *folders[:2], home / OWN_DATA, *folders[2:]]
    return folders


def unit_files(name: str, folders: Sequence[Path]) -> list[Path]:
    """Return the unit file and its drop-ins in systemd's order; empty if there is no unit file.

    Empty also if a folder has more than FILES_MAX. name: of a service or a template, as
    nginx.service, game@1.service, game@.service.
    """
    names = [name]
    prefix, mark, _ = name.partition("@")
    if mark:
        names.append(f"{prefix}@.service")
    fragment = next(
        (folder / each for each in names for folder in folders if (folder / each).exists()), None
    )
    if fragment is None:
        return []
    drop_ins: dict[str, Path] = {}
    for each in [*names, *_prefixes(names[-1]), "service"]:
        for folder in folders:
            try:
                found = sorted(islice((folder / f"{each}.d").iterdir(), FILES_MAX + 1))
            except OSError:
                continue
            if len(found) > FILES_MAX:
                return []
            for path in found:
                if path.suffix == ".conf":
                    drop_ins.setdefault(path.name, path)
    return [fragment, *(drop_ins[each] for each in sorted(drop_ins))]


def _prefixes(name: str) -> list[str]:
    """Return foo-bar-.service and foo-.service for foo-bar-baz.service, the longest first."""
    parts = name.removesuffix(".service").split("-")
    return ["-".join(parts[:count]) + "-.service" for count in range(len(parts) - 1, 0, -1)]
