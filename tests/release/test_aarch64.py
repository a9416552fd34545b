"""The wheels of aarch64, run: the launcher and the shim on an emulated kernel, and Python."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from debs import unpack as unpack_deb
from elftools.elf.elffile import ELFFile

from tests.kernels.initrd import build_arm64_initrd
from tests.kernels.kernels import ARM64_16K
from tests.kernels.matrix import boot

from .unpacked import unpack

PYTHON = ("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib")
LIBRARIES = ("libc6", "zlib1g", "libexpat1")
IMPORT = """
import sys
sys.path.insert(0, sys.argv[1])
import prctl, psutil, rich, typer, elftools
from ksmrun.commands.version import version_text
print(prctl.get_no_new_privs(), psutil.Process().pid > 0, prctl.cap_effective.limit() is None)
print(version_text())
"""


def one(release: Path, pattern: str, folder: Path) -> Path:
    """Unpack the one artefact with that name."""
    (artefact,) = release.glob(pattern)
    return unpack(artefact, folder)


def test_launcher_and_shim_on_a_kernel(release: Path, tmp_path: Path) -> None:
    wheel = one(release, "ksmrun-*aarch64.whl", tmp_path / "wheel")
    disk = tmp_path / "disk"
    disk.mkdir()
    guest = boot(("6.12", ARM64_16K), build_arm64_initrd(disk, wheel / "ksmrun/libexec"))
    values = guest.values
    for name in ("flag_static", "flag_glibc", "flag_musl", "shim_glibc", "shim_musl"):
        assert values[name] == "yes", name
    assert values["require"] == "0"
    assert "has the merge flag after the exec" in values["verify"]
    assert int(values["merged_glibc"]) > 100


def test_python_imports_all(release: Path, tmp_path: Path) -> None:
    """What the package of Debian brings, with Debian's own Python."""
    root = tmp_path / "root"
    root.mkdir()
    # Packages of the newest suites no longer bring the link.
    (root / "lib").symlink_to("usr/lib")
    for package in (*PYTHON, *LIBRARIES):
        unpack_deb(f"{package}:arm64", root)
    modules = one(release, "ksmrun_*_arm64.deb", tmp_path / "deb") / "usr/lib/ksmrun/python"
    emulated = ("qemu-aarch64", "-L", root, root / "usr/bin/python3.11", "-S", "-c", IMPORT)
    done = subprocess.run(
        [*emulated, modules], env={"PYTHONHOME": f"{root}/usr"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, second, *_ = done.stdout.splitlines()
    assert first == "0 True True"
    assert second.startswith("ksmrun 0.1.0 (commit ")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_prctl_needs_nothing_of_the_compiler(machine: str, release: Path, tmp_path: Path) -> None:
    """Functions of libgcc would need a symbol that musl does not export."""
    folder = one(release, f"python_prctl-*{machine}.whl", tmp_path / "wheel")
    (module,) = folder.glob("_prctl*.so")
    with module.open("rb") as file:
        section: Any = ELFFile(file).get_section_by_name(".dynsym")
        missing = {each.name for each in section.iter_symbols() if each["st_shndx"] == "SHN_UNDEF"}
    assert "PyModule_Create2" in missing
    assert not [name for name in missing if name.startswith(("__aarch64_", "__getauxval"))]
