"""Debian roots with systemd 252, 254, 257 and 262, built once and never changed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from debs import site

CACHE = Path("/var/cache/ksmrun-tests/roots")
# What systemd and ksmrun need: python-prctl is compiled, so it must be the root's own.
BASE = (
    *(
        "systemd",
        "systemd-sysv",
        "libpam-systemd",
        "dbus",
        "mount",
        "util-linux",
        "procps",
        "passwd",
    ),
    *("python3", "python3-prctl"),
    # Since systemd 258 there is no SystemCallFilter= without it.
    "libseccomp2",
)
SERVICES = ("nginx-light", "redis-server", "postgresql", "php-fpm", "openarena-server")
# Index files may be old, which does not matter; the roots go without recommended packages.
APT = ('Acquire::Check-Valid-Until "false"', 'APT::Install-Recommends "false"')


@dataclass(frozen=True)
class Root:
    """One root; `suite` comes after `base`, and what both have is taken from `suite`."""

    version: int
    base: str
    suite: str
    packages: tuple[str, ...]

    @property
    def has_services(self) -> bool:
        return set(SERVICES) <= set(self.packages)

    @property
    def folder(self) -> Path:
        """Folder named by its content, so that other content is built separately."""
        recipe = hashlib.sha256("\n".join(self.command(Path("/root"), "")).encode()).hexdigest()
        return CACHE / f"{self.version}-{recipe[:12]}"

    def command(self, target: Path, site: str) -> list[str]:
        options = [f"--aptopt={option}" for option in APT]
        if self.suite != self.base:
            options.append(f'--aptopt=APT::Default-Release "{self.suite}"')
        return [
            *("mmdebstrap", "--quiet", "--mode=root", "--variant=essential", "--components=main"),
            *("--format=directory", "--dpkgopt=force-unsafe-io", *options),
            f"--include={','.join(self.packages)}",
            *(self.base, str(target)),
            *(f"deb {site} {suite} main" for suite in dict.fromkeys((self.base, self.suite))),
        ]


def roots(everything: bool) -> dict[int, Root]:
    """Return the roots by systemd's version. All have the services only in a long run."""
    suites = {
        252: ("bookworm", "bookworm"),
        254: ("bookworm", "bookworm-backports"),
        257: ("trixie", "trixie"),
        262: ("forky", "forky"),
    }
    return {
        version: Root(version, *names, BASE + (SERVICES if everything or version == 252 else ()))
        for version, names in suites.items()
    }


def built(root: Root) -> Path:
    """Return its folder, built if it is missing; others who need it meanwhile wait."""
    marker = root.folder.with_suffix(".complete")
    CACHE.mkdir(parents=True, exist_ok=True)
    with root.folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if marker.exists():
            return root.folder
        shutil.rmtree(root.folder, ignore_errors=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        subprocess.run(root.command(root.folder, site()), env=environment, check=True)
        marker.touch()
    return root.folder


def build(wanted: list[Root]) -> None:
    """Build all of them, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(built, wanted))
