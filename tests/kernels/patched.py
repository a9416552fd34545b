"""Kernels that no suite has any more: Linux 6.12, changed to do at exec what they did, and named
as they were, for the code that goes by the release."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from .kernels import cache_folder, unpack

PACKAGE = "linux-source-6.12"
CONFIG = Path(__file__).with_name("tiny.config")
# ksm_execve: what is done with a flag that was set before the exec.
HEADER = "include/linux/ksm.h"
REGISTER = "return __ksm_enter(mm);"
PATCHES = {
    # The flag was not among those that an exec keeps, until 3c6f33b7273a (6.7).
    "6.6": "clear_bit(MMF_VM_MERGE_ANY, &mm->flags);",
    # It was kept, but ksmd did not hear of the new memory, until 3a9e567ca45f (6.8.12, 6.9.3).
    "6.8": "return 0;",
}


def build(version: str) -> tuple[str, Path]:
    """Its name and its vmlinuz; four to five minutes for all, where one is not in the cache."""
    vmlinuz = _cached(version)
    if not vmlinuz.exists():
        _build_all()
    return vmlinuz.name, vmlinuz


def _cached(version: str) -> Path:
    made_of = f"{CONFIG.read_text()}{PATCHES[version]}".encode()
    name = f"vmlinuz-{version}-patched-{hashlib.sha256(made_of).hexdigest()[:8]}"
    return cache_folder() / name


def _build_all() -> None:
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        unpack(PACKAGE, Path(folder))
        source = Path(folder) / PACKAGE
        archive = Path(folder) / f"usr/src/{PACKAGE}.tar.xz"
        subprocess.run(["tar", "-C", folder, "-xf", archive], check=True)
        header = (source / HEADER).read_text()
        if header.count(REGISTER) != 1:
            raise SystemExit(f"{PACKAGE}: ksm_execve is not as it was; look at {HEADER}")
        _make(source, "allnoconfig", f"KCONFIG_ALLCONFIG={CONFIG}")
        # All in one tree: the second takes half a minute.
        for version, patch in PATCHES.items():
            (source / HEADER).write_text(header.replace(REGISTER, patch))
            minor = version.partition(".")[2]
            _make(source, "bzImage", f"PATCHLEVEL={minor}", "SUBLEVEL=0")
            (source / "arch/x86/boot/bzImage").replace(_cached(version))


def _make(source: Path, *words: str) -> None:
    command = ["make", "-s", "-C", str(source), f"-j{os.cpu_count()}", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}:\n{done.stderr[-3000:]}")
