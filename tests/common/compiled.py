"""Test programs, and the product built in other ways, compiled once for all runs and workers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
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
    # Unlike shutil's copy, this one keeps holes; one program has 2 GiB of them.
    subprocess.run(["cp", "--sparse=auto", kept, target], check=True)


def build_arm64(tree: Path) -> None:
    """Cross-compile what the tests run on aarch64."""
    build_product(tree, ARM64, ("ksmrun-exec", "ksmrun-attach", "shim"))


def build_product(tree: Path, options: Sequence[str], targets: Sequence[str]) -> None:
    """Build these of the product's C programs in a folder, unless cached.

    targets: made from native/ alone, as all but `ksmrun` are.
    """
    key = hashlib.sha256("\0".join([*options, *targets]).encode())
    for file in sorted(path for path in NATIVE.rglob("*") if path.is_file()):
        key.update(f"{file.relative_to(NATIVE)}\0".encode() + file.read_bytes() + b"\0")
    kept = cache_folder() / "builds" / key.hexdigest()[:32]
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Through ccache as in tests/step.sh.
        cached = {"CCACHE_BASEDIR": str(NATIVE.parent), "CCACHE_NOHASHDIR": "1"}
        through_ccache = "-DCMAKE_C_COMPILER_LAUNCHER=ccache"
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            configure = ("cmake", "-S", str(NATIVE), "-B", folder, "-G", "Ninja", through_ccache)
            build = ("cmake", "--build", folder, "--target", *targets)
            for command in ((*configure, *options), build):
                environment = {**os.environ, **cached}
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
            made = kept.with_name(f"{kept.name}-{os.urandom(4).hex()}")
            intermediate = shutil.ignore_patterns("CMake*", "*.ninja", ".*")
            shutil.copytree(folder, made, ignore=intermediate)
        with contextlib.suppress(OSError):
            # Another run may have been faster.
            made.replace(kept)
        shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(kept, tree)
