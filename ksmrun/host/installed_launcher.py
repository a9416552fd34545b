"""Install, update and remove the launcher and its shims at the path that wraps name."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import subprocess
from pathlib import Path

from ksmrun import __version__
from ksmrun.facts.text import read_text
from ksmrun.host.lock import held
from ksmrun.model.errors import KsmrunError
from ksmrun.model.wrap import (
    INSTALL_LAUNCHER,
    LAUNCHER,
    LIBEXEC,
    LOCAL,
    OCI_RUNTIME,
    PACKAGED,
    InstalledLauncher,
)
from ksmrun.support.advice import helper_todo
from ksmrun.support.safefile import replace_file, temporary_name
from ksmrun.support.tool import run_tool

# Other names of ksmrun-oci, each with its own mode: Podman selects runtimes by name.
LINKS = ("ksmrun-oci-by-request", "ksmrun-oci-crun")
VERSION_SECONDS = 10.0
HOMES = ("/home", "/root", "/tmp", "/var/tmp", "/run/user")


def installed() -> InstalledLauncher | None:
    """Return the launcher that new wraps name; None if it is missing. Raises KsmrunError."""
    if not LAUNCHER.exists():
        return None
    # Root runs it here.
    refuse_unsafe()
    version = _version_of(LAUNCHER, INSTALL_LAUNCHER)
    return InstalledLauncher(str(LAUNCHER), version, is_current=version == __version__)


def install(source: Path) -> list[str]:
    """Copy what is in source, each file atomically; return the lines to show. Raises KsmrunError.

    Running programs keep their old file; a service that starts meanwhile gets the old or the new
    one. A package's launcher is only looked at.
    """
    if LIBEXEC == PACKAGED:
        found = installed()
        if found is None:
            raise KsmrunError(f"{LAUNCHER} is missing", INSTALL_LAUNCHER)
        return [f"{found} already"]
    folder = LOCAL
    refuse_unsafe(folder)
    # One that does not run would keep wrapped services from starting.
    own = source / LAUNCHER.name
    _version_of(own, helper_todo(errno.ENOEXEC, own))
    try:
        _make_folders(folder, folder)
        with held(folder / ".lock") as is_alone:
            if not is_alone:
                raise _busy(folder)
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


def _busy(folder: Path) -> KsmrunError:
    return KsmrunError(
        f"another ksmrun is writing to {folder}", "wait until it has ended, then try again"
    )


def _version_of(launcher: Path, todo: str) -> str:
    said = run_tool([str(launcher), "--version"], VERSION_SECONDS, todo).stdout.split()
    if len(said) < 2:
        raise KsmrunError(f"{launcher} does not run", todo)
    return said[1]


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


def uninstall() -> list[str]:
    """Remove it; return the lines to show. The caller has checked that nothing uses it.

    Beside a package, that is what an earlier installation by pip has left.
    """
    folder = LOCAL
    if not folder.is_dir() and LIBEXEC == PACKAGED:
        raise KsmrunError(
            f"{PACKAGED} belongs to the package ksmrun-exec", "run: sudo apt remove ksmrun-exec"
        )
    if not folder.is_dir():
        return [f"{folder} is not there"]
    try:
        with held(folder / ".lock") as is_alone:
            if not is_alone:
                raise _busy(folder)
            shutil.rmtree(folder)
    except OSError as error:
        raise KsmrunError(
            f"cannot delete {error.filename or folder}: {error.strerror}",
            "run this as root"
            if os.geteuid()
            else f"see whether it is immutable (lsattr -d {folder}) or its file system read-only",
        ) from error
    # Created by install(); /usr/local/libexec may have been there before.
    with contextlib.suppress(OSError):
        folder.parent.rmdir()
    return [f"{folder} deleted"]


def refuse_unsafe(folder: Path = LIBEXEC) -> None:
    """Raise KsmrunError if a user could replace the launcher: it must not start services then."""
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
    """Create folders readable by all, whatever the umask: services run as any user."""
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
    """Set the SELinux type of the place; a file created elsewhere and renamed may have another."""
    if read_text(Path("/sys/fs/selinux/enforce")) is None or shutil.which("restorecon") is None:
        return
    subprocess.run(["restorecon", "-R", str(folder)], check=False, stdin=subprocess.DEVNULL)
