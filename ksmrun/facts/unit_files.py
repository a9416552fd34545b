"""Files of a system service, found without asking systemd (systemd.unit(5))."""

from __future__ import annotations

from pathlib import Path

# The first has priority. A file linked to /dev/null masks those of its name further down.
FOLDERS = ("etc", "run", "usr/local/lib", "usr/lib", "lib")


def unit_files(name: str, root: Path = Path("/")) -> list[Path]:
    """Return the unit file and its drop-ins in systemd's order; empty if there is no unit file.

    name: of a service or a template, as nginx.service, game@1.service, game@.service.
    """
    names = [name]
    prefix, mark, _ = name.partition("@")
    if mark:
        names.append(f"{prefix}@.service")
    folders = [root / folder / "systemd/system" for folder in FOLDERS]
    fragment = next(
        (folder / each for each in names for folder in folders if (folder / each).exists()), None
    )
    if fragment is None:
        return []
    drop_ins: dict[str, Path] = {}
    for each in [*names, *_prefixes(names[-1]), "service"]:
        for folder in folders:
            try:
                found = sorted((folder / f"{each}.d").iterdir())
            except OSError:
                continue
            for path in found:
                if path.suffix == ".conf":
                    drop_ins.setdefault(path.name, path)
    return [fragment, *(drop_ins[each] for each in sorted(drop_ins))]


def _prefixes(name: str) -> list[str]:
    """Return foo-bar-.service and foo-.service for foo-bar-baz.service, the longest first."""
    parts = name.removesuffix(".service").split("-")
    return ["-".join(parts[:count]) + "-.service" for count in range(len(parts) - 1, 0, -1)]
