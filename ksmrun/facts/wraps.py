"""Every file on this host that starts something merged, written by ksmrun or by users."""

from __future__ import annotations

import itertools
import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

from ksmrun.model.wrap import DROP_IN, HEADER_MARK, LOCAL, PACKAGED, Wrap
from ksmrun.support.foreign import read_text, resolved

SYSTEM_FOLDERS = (
    *("etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system"),
    *("etc/systemd/user", "run/systemd/user", "usr/local/lib/systemd/user"),
    *("usr/lib/systemd/system", "usr/lib/systemd/user"),
    *("etc/containers/systemd", "usr/share/containers/systemd", "run/containers/systemd"),
)
HOME_FOLDERS = (".config/systemd/user", ".local/share/systemd/user", ".config/containers/systemd")
# Container engines' and System V's.
OTHERS = (
    *("etc/docker/daemon.json", "etc/containers/containers.conf", "etc/containerd/config.toml"),
    *("etc/crio/crio.conf",),
)
OTHER_FOLDERS = ("etc/containers/containers.conf.d", "etc/crio/crio.conf.d", "etc/init.d")
HOME_OTHERS = (".config/docker/daemon.json", ".config/containers/containers.conf")
FILE_BYTES_MAX = 1 << 20
# Units of ksmrun itself, which wrap nothing.
UNITS = (f"{HEADER_MARK}monitor ", f"{HEADER_MARK}host ", f"{HEADER_MARK}wrap unit --layout ")
# Bound: a folder in a home may be as large as its owner likes, or a link to anywhere.
FILES_MAX = 5000
REMOVE = re.compile(r"^# To remove it: (.*)$", re.MULTILINE)


def find_wraps(root: Path = Path("/")) -> tuple[Wrap, ...]:
    """Return the wraps that this user may read, ordered by path."""
    found: dict[str, Wrap] = {}
    for file in _files(root):
        wrap = _look_at(file)
        # /lib is a link to /usr/lib, and a folder may be reached twice.
        if wrap is not None:
            found.setdefault(resolved(file), wrap)
    return tuple(sorted(found.values(), key=lambda wrap: wrap.path))


def _files(root: Path) -> Iterator[Path]:
    homes = {Path(user.pw_dir) for user in pwd.getpwall()}
    places = [root / folder for folder in (*SYSTEM_FOLDERS, *OTHER_FOLDERS)]
    singles = [root / file for file in OTHERS]
    for home in homes:
        below = root / str(home).lstrip("/")
        places += [below / folder for folder in HOME_FOLDERS]
        singles += [below / file for file in HOME_OTHERS]
    yield from singles
    for place in places:
        # Unreadable files are left out; a user with access sees them.
        yield from itertools.islice(_below(place), FILES_MAX)


def _below(place: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(place):
        yield from (Path(folder) / name for name in names)
        # Bound on empty folders too.
        yield Path(folder)


def _look_at(file: Path) -> Wrap | None:
    text = read_text(file, FILE_BYTES_MAX) or ""
    ours = text.startswith(HEADER_MARK)
    if text.startswith(UNITS):
        return None
    libexec = next((folder for folder in (LOCAL, PACKAGED) if str(folder) in text), None)
    if not ours and libexec is None:
        return None
    remove = REMOVE.search(text) if ours else None
    return Wrap(file, _kind(file), _name(file), ours, libexec, remove[1] if remove else None)


def _kind(file: Path) -> str:
    if ".container.d" in file.parent.name or file.suffix == ".container":
        return "quadlet"
    if file.parent.suffix == ".d" and file.name == DROP_IN:
        return "user unit" if "user" in file.parts else "unit"
    return "unit file" if "systemd" in file.parts else "configuration"


def _name(file: Path) -> str:
    is_drop_in = file.parent.suffix == ".d" and file.name == DROP_IN
    return file.parent.name.removesuffix(".d") if is_drop_in else file.name
