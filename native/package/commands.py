"""Commands that a build runs, and files and archives that depend on nothing but their content."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import tarfile
from collections.abc import Mapping
from pathlib import Path


def output(*command: str | Path, folder: Path) -> str:
    """Return what a command prints."""
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def run(*command: str | Path, folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a command, and show its output only if it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(
            f"{done.stdout}\n{' '.join(map(str, command))}: exit code {done.returncode}"
        )


def tool(name: str) -> Path:
    """Return a program that requirements.txt has installed."""
    return Path(sysconfig.get_path("scripts")) / name


def date(folder: Path, seconds: int) -> None:
    """Give all files the same time."""
    for path in folder.rglob("*"):
        os.utime(path, (seconds, seconds), follow_symlinks=False)


def pack(folder: Path, archive: Path, seconds: int) -> None:
    """Pack a folder so that the same files give the same bytes."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = seconds
        return entry

    top = Path(archive.name.removesuffix(".tar.xz"))
    with tarfile.open(archive, "w:xz") as file:
        for path in sorted([folder, *folder.rglob("*")]):
            name = str(top / path.relative_to(folder))
            file.add(path, name, recursive=False, filter=plain)
