"""The launcher and its shims at the place that wraps name: put there, renewed, taken away."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from pathlib import Path

from ksmrun.facts.text import read_text
from ksmrun.host.lock import held
from ksmrun.model import KsmrunError
from ksmrun.model.wrap import LIBEXEC, OCI_RUNTIME
from ksmrun.support.safefile import replace_file, temporary_name

# Other names of ksmrun-oci, by which it does other things: Podman knows runtimes by name.
LINKS = ("ksmrun-oci-by-request", "ksmrun-oci-crun")
HOMES = ("/home", "/root", "/tmp", "/var/tmp", "/run/user")


def install(source: Path, folder: Path = LIBEXEC) -> list[str]:
    """Copies what lies in source, each file at once; returns the lines to show.

    What runs keeps its old file, and a service that starts meanwhile gets the old or the new one.
    Raises KsmrunError.
    """
    refuse_unsafe(folder)
    try:
        _make_folders(folder, folder)
        with held(folder / ".lock") as is_alone:
            if not is_alone:
                raise KsmrunError(
                    f"another ksmrun is writing to {folder}",
                    "wait until it has ended, then try again",
                )
            lines = _copy(source, folder)
    except OSError as error:
        raise KsmrunError(
            f"cannot write {error.filename or folder}: {error.strerror}",
            "run this as root"
            if os.geteuid()
            else "check its free space, and whether its file system is read-only",
        ) from error
    _label(folder)
    return lines


def _copy(source: Path, folder: Path) -> list[str]:
    lines = []
    for file in sorted(source.rglob("*")):
        if not file.is_file():
            continue
        target = folder / file.relative_to(source)
        _make_folders(target.parent, folder)
        data = file.read_bytes()
        if target.is_file() and target.read_bytes() == data and os.access(target, os.X_OK):
            lines.append(f"{target} already")
            continue
        replace_file(target, data, 0o755, leftover_seconds=0)
        lines.append(f"{target} written")
    for name in LINKS if (folder / OCI_RUNTIME.name).exists() else ():
        _link(folder / name, OCI_RUNTIME.name)
    return lines


def uninstall(folder: Path = LIBEXEC) -> list[str]:
    """Takes it away; returns the lines to show. Who uses it is the caller's to ask."""
    if not folder.is_dir():
        return [f"{folder} is not there"]
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise KsmrunError(
            f"cannot delete {error.filename}: {error.strerror}", "run this as root"
        ) from error
    # Made on the way; /usr/local/libexec may be somebody's.
    with contextlib.suppress(OSError):
        folder.parent.rmdir()
    return [f"{folder} deleted"]


def refuse_unsafe(folder: Path = LIBEXEC) -> None:
    """A launcher that a user can change or lose must not start services. Raises KsmrunError."""
    real = folder.resolve()
    if any(real.is_relative_to(home) for home in HOMES):
        raise KsmrunError(
            f"{folder} leads to {real}, in a home folder",
            "make it a folder outside of /home and /root",
        )
    for place in (real, *real.parents):
        if (place / "pyvenv.cfg").exists():
            raise KsmrunError(
                f"{folder} leads to {real}, in a virtual environment",
                "make it a folder outside of it",
            )
        if not place.exists():
            continue
        status = place.stat()
        is_open = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and status.st_gid != 0
        if status.st_uid != 0 or is_open or status.st_mode & stat.S_IWOTH:
            raise KsmrunError(
                f"{place} can be changed by users other than root",
                f"run: chown root {place} && chmod go-w {place}",
            )


def _make_folders(folder: Path, top: Path) -> None:
    """Readable by all, whatever the umask: services run as any user."""
    for place in reversed((folder, *folder.parents)):
        if not place.exists():
            place.mkdir()
            place.chmod(0o755)
        elif place.is_relative_to(top):
            place.chmod(0o755)


def _link(link: Path, target: str) -> None:
    temporary = link.with_name(temporary_name(link.name))
    temporary.symlink_to(target)
    temporary.replace(link)


def _label(folder: Path) -> None:
    """With SELinux a file made elsewhere and renamed may have another type than its place gives."""
    if read_text(Path("/sys/fs/selinux/enforce")) is None or shutil.which("restorecon") is None:
        return
    subprocess.run(["restorecon", "-R", str(folder)], check=False, stdin=subprocess.DEVNULL)
