"""What of a process decides about its trust domain: only what it cannot choose by itself.

A user chooses the names of cgroups below their own, of containers of their own engine, and, in a
user namespace, the path of every program.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from ksmrun.facts.cgroup import hierarchies
from ksmrun.facts.placement import UNIT, container_of
from ksmrun.facts.stat import living, read_link
from ksmrun.facts.text import parse_fields, parse_int, read_or_raise
from ksmrun.model.process import Container
from ksmrun.model.trust import ContainerTraits, Traits
from ksmrun.support.foreign import raise_shortage
from ksmrun.support.unitname import unescaped

DELETED = " (deleted)"
SLICE = ".slice"
# Where a hierarchy with units may be mounted, by its controllers in /proc/PID/cgroup (cgroups(7)):
# version 2, on hosts with both versions below "unified", and systemd's own one of version 1.
MOUNTS = {
    "": ("sys/fs/cgroup/unified", "sys/fs/cgroup"),
    "name=systemd": ("sys/fs/cgroup/systemd",),
}

Details = Callable[[Container], ContainerTraits]


def read_traits(folder: Path, details: Details, root: Path = Path("/")) -> Traits:
    """Return the traits of the process with this /proc folder. Raises OSError if it ended.

    details: asks a container's engine.
    """
    places = cgroup_places(read_or_raise(folder / "cgroup") or "")
    container, has_container = None, False
    for name, parts in places.items():
        if (found := outermost_container(parts)) is not None:
            # Its own units, as its engine may have left it in those of the engine elsewhere.
            places, has_container = {name: parts}, True
            if _is_roots(root, MOUNTS[name], parts[: found[1] - 1]):
                container = details(found[0])
            break
    units = next(filter(None, map(trusted_units, places.values())), ())
    status = parse_fields(living(folder, _status, lambda text: not text))
    uids = _numbers(status.get("Uid", ""))[:3]
    gids = (*_numbers(status.get("Gid", ""))[:3], *_numbers(status.get("Groups", "")))
    executable = None if has_container else _executable(folder, root)
    return Traits(units, uids, gids, executable, container)


def cgroup_places(cgroup: str) -> dict[str, tuple[str, ...]]:
    """Return the folders of the process's path, by the name of a hierarchy with units."""
    paths = {",".join(names): path for names, path in hierarchies(cgroup)}
    places = {}
    for name in MOUNTS:
        path = paths.get(name, "").removesuffix(DELETED)
        parts = tuple(part for part in path.split("/") if part)
        # Outside of this cgroup namespace the names say nothing.
        places[name] = () if ".." in parts else parts
    return places


def trusted_units(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return slices and the unit below them: what is below that, its owner may have named."""
    units = []
    for part in map(unescaped, parts):
        if part.endswith(SLICE) or UNIT.fullmatch(part):
            units.append(part)
        if not part.endswith(SLICE):
            break
    return tuple(units)


def outermost_container(parts: tuple[str, ...]) -> tuple[Container, int] | None:
    """Return the container that the host started, and the depth of its folder; None if none.

    Those in it are its own affair: their names are chosen there.
    """
    for depth in range(1, len(parts) + 1):
        container = container_of("/".join(("", *parts[:depth])))
        if container is not None:
            return container, depth
    return None


def _is_roots(root: Path, mounts: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """Return whether only root creates cgroups there, so that their names can be believed."""
    for mount in mounts:
        try:
            status = (root / mount / "/".join(parts)).stat()
        except OSError as error:
            raise_shortage(error)
            continue
        return status.st_uid == 0 and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return False


def _executable(folder: Path, root: Path) -> str | None:
    """Return the path of the program; None if somebody could have made it up.

    Without privileges a mount namespace needs a user namespace (user_namespaces(7)), so that in
    this one only root arranges what is at a path.
    """
    try:
        spaces = [(place / "ns/user").readlink() for place in (folder, root / "proc/self")]
        if spaces[0] != spaces[1]:
            return None
        return str(read_link(folder, "exe")).removesuffix(DELETED)
    except OSError as error:
        raise_shortage(error)
        return None


def own_traits() -> Traits:
    """Return the traits of the caller. Raises OSError.

    A container's engine is not asked: inside of it there is none, and nothing runs it but root.
    """
    return read_traits(Path("/proc/self"), lambda each: ContainerTraits(each.engine, each.id))


def _status(folder: Path) -> str:
    return read_or_raise(folder / "status") or ""


def _numbers(text: str) -> tuple[int, ...]:
    found = (parse_int(word) for word in text.split())
    return tuple(number for number in found if number is not None)
