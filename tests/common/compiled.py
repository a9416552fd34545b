"""Test programs, and the product built in other ways, compiled once for all runs and workers."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

NATIVE = Path(__file__).resolve().parents[2] / "native"
# Debian's cross compiler.
ARM64 = (
    "-DCMAKE_SYSTEM_NAME=Linux",
    "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
    "-DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc",
)


def cache_folder() -> Path:
    """Return a folder outside the repository that is kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ksmrun-tests"


def compile_to(target: Path, command: Sequence[str | Path]) -> None:
    """Run the command with "-o TARGET", unless its result is cached.

    Files in the command are its sources; they include none of the tests' own headers.
    """
    compiler = shutil.which(command[0])
    assert compiler is not None, command
    key = hashlib.sha256(f"{Path(compiler).resolve().stat().st_mtime_ns}".encode())
    for word in command:
        key.update(Path(word).read_bytes() if Path(word).is_file() else str(word).encode())
        key.update(b"\0")
    kept = cache_folder() / "programs" / key.hexdigest()[:32]
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        made = kept.with_name(f"{kept.name}-{os.urandom(4).hex()}")
        subprocess.run([*command, "-o", made], check=True)
        made.replace(kept)
    shutil.copy(kept, target)


def build_product(tree: Path, options: Sequence[str], target: str = "all") -> None:
    """Build the product's C programs in a folder, through ccache as in tests/step.sh."""
    cached = {"CCACHE_BASEDIR": str(NATIVE.parent), "CCACHE_NOHASHDIR": "1"}
    configure: tuple[str | Path, ...] = ("cmake", "-S", NATIVE, "-B", tree, "-G", "Ninja")
    through_ccache = "-DCMAKE_C_COMPILER_LAUNCHER=ccache"
    build = ("cmake", "--build", tree, "--target", target)
    for command in ((*configure, *options, through_ccache), build):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **cached})
