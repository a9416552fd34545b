"""What is released: a commit, with its version, time and address of its maintainer."""

from __future__ import annotations

import re
import tarfile
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from commands import output, run

TOP = Path(__file__).resolve().parents[2]
NAME_AND_ADDRESS = re.compile(r"[^<>@\n]+ <[\w.+-]+@[\w-]+(\.[\w-]+)+>", re.ASCII)


@dataclass(frozen=True)
class Release:
    """A version, its commit, and the commit's time in seconds since 1970."""

    version: str
    commit: str
    seconds: int
    maintainer: str
    repository: str | None

    @property
    def environment(self) -> dict[str, str]:
        """Return variables that make tools write this time and no other place's habits."""
        return {"SOURCE_DATE_EPOCH": str(self.seconds), "TZ": "UTC", "LC_ALL": "C"}

    @property
    def date(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


def described() -> Release:
    """Return the release that the last commit is."""
    commit, seconds = output("git", "log", "-1", "--format=%H %ct", folder=TOP).split()

    def committed(name: str) -> str:
        return output("git", "show", f"{commit}:{name}", folder=TOP)

    found = re.search(r'^__version__ = "([0-9.]+)"$', committed("ksmrun/__init__.py"), re.M)
    if found is None:
        raise SystemExit('ksmrun/__init__.py has no line __version__ = "..."')
    project = tomllib.loads(committed("pyproject.toml"))["project"]
    (author,) = project["authors"]
    maintainer = f"{author['name']} <{author['email']}>"
    if NAME_AND_ADDRESS.fullmatch(maintainer) is None:
        raise SystemExit(f"pyproject.toml: authors: {maintainer!r} is no name with an address")
    release = Release(
        found[1], commit, int(seconds), maintainer, project.get("urls", {}).get("Repository")
    )
    if f"\n## {release.version} (" not in committed("CHANGELOG.md"):
        raise SystemExit(f"CHANGELOG.md has no heading '## {release.version} (DATE)'")
    return release


def check_out(commit: str, folder: Path) -> None:
    """Write the files of a commit to the folder."""
    folder.mkdir(parents=True)
    archive = folder.with_suffix(".tar")
    run("git", "archive", "--output", archive, commit, folder=TOP)
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    archive.unlink()


def debian_changelog(package: str, release: Release) -> str:
    """Return Debian's changelog, which names the one that people read."""
    return (
        f"{package} ({release.version}) unstable; urgency=medium\n\n"
        f"  * Release {release.version}; `ksmrun help install` names all files of it.\n\n"
        f" -- {release.maintainer}  {format_datetime(release.date)}\n"
    )
