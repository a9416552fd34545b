"""Kernels that are built here.

Two no suite has any more: Linux 6.12, changed to behave at exec as they did, and with their version
numbers, for code that depends on those. And one for aarch64 with 64 KiB pages, which Debian does
not package.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .kernels import cache_folder, unpack

PACKAGE = "linux-source-6.12"
CONFIG = Path(__file__).with_name("tiny.config")
CONFIG_64K = Path(__file__).with_name("arm64-64k.config")
CROSS = ("ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-")
# ksm_execve: what happens to a flag that was set before the exec.
HEADER, REGISTER = "include/linux/ksm.h", "return __ksm_enter(mm);"
# ksm_add_vma: registers what is not, since 590c03ca6a3f (6.19, 6.12.64).
SOURCE, IS_UNREGISTERED = "mm/ksm.c", "unlikely(!test_bit(MMF_VM_MERGEABLE, &mm->flags))"
PATCHES = {
    # The flag was not among those that an exec keeps, until 3c6f33b7273a (6.7).
    "6.6": [(HEADER, REGISTER, "clear_bit(MMF_VM_MERGE_ANY, &mm->flags);")],
    # It was kept, but ksmd did not learn of the new memory, until 3a9e567ca45f (6.8.12, 6.9.3).
    "6.8": [(HEADER, REGISTER, "return 0;"), (SOURCE, IS_UNREGISTERED, "0")],
}


def build(version: str) -> tuple[str, Path]:
    """Return its name and its vmlinuz; four to five minutes for all that are not in the cache."""
    vmlinuz = _cached(version)
    if not vmlinuz.exists():
        _build_all()
    return vmlinuz.name, vmlinuz


def build_arm64_64k() -> tuple[str, Path]:
    """Return the same for 6.12 with 64 KiB pages; five minutes."""
    config = CONFIG.read_text().replace("-from-6.12", "-arm64-64k") + CONFIG_64K.read_text()
    image = _cache_name("6.12-arm64-64k", config)
    if not image.exists():
        with _source() as source:
            (source / "all.config").write_text(config)
            _make(source, *CROSS, "allnoconfig", f"KCONFIG_ALLCONFIG={source}/all.config")
            _make(source, *CROSS, "Image")
            (source / "arch/arm64/boot/Image").replace(image)
    return image.name, image


def _cached(version: str) -> Path:
    return _cache_name(f"{version}-patched", f"{CONFIG.read_text()}{PATCHES[version]}")


def _cache_name(name: str, made_of: str) -> Path:
    return cache_folder() / f"vmlinuz-{name}-{hashlib.sha256(made_of.encode()).hexdigest()[:8]}"


@contextmanager
def _source() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        unpack(PACKAGE, Path(folder))
        archive = Path(folder) / f"usr/src/{PACKAGE}.tar.xz"
        subprocess.run(["tar", "-C", folder, "-xf", archive], check=True)
        yield Path(folder) / PACKAGE


def _build_all() -> None:
    with _source() as source:
        _make(source, "allnoconfig", f"KCONFIG_ALLCONFIG={CONFIG}")
        # All in one tree: the second takes half a minute.
        for version, patches in PATCHES.items():
            originals = [(source / name, (source / name).read_text()) for name, _, _ in patches]
            for (path, text), (_, old, new) in zip(originals, patches, strict=True):
                if text.count(old) != 1:
                    raise SystemExit(f"{path} is not as it was: {old}")
                path.write_text(text.replace(old, new))
            minor = version.partition(".")[2]
            _make(source, "bzImage", f"PATCHLEVEL={minor}", "SUBLEVEL=0")
            (source / "arch/x86/boot/bzImage").replace(_cached(version))
            for path, text in originals:
                path.write_text(text)


def _make(source: Path, *words: str) -> None:
    command = ["make", "-s", "-C", str(source), f"-j{os.cpu_count()}", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}:\n{done.stderr[-3000:]}")
