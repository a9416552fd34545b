"""Building from source on a host with little but a compiler, and with flags of distributions."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from elftools.elf.elffile import ELFFile

SOURCES = Path(__file__).parents[2]
# Without musl-gcc. By make, for which CMake puts LDFLAGS behind the options of a target.
GLIBC = ("-G", "Unix Makefiles", "-DKSMRUN_MUSL=OFF", "-DKSMRUN_WERROR=ON")
# An overlay, in which files are removed.
HIDE = """
mkdir -p "$1"
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work"
mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" overlay "$2"
"""
# As if the packages of the 32-bit libc were not installed, which few hosts have.
WITHOUT_32_BIT_LIBC = f"""{HIDE}
dpkg -L libc6-dev-i386 gcc-12-multilib | grep ^/usr/include/ | while read -r file; do
    if [ -L "$file" ] || [ -f "$file" ]; then rm -f "$file"; fi
done
shift 2
exec "$@"
"""
WITHOUT_STATIC_LIBC = f"""{HIDE}
rm "$2/libc.a"
shift 2
exec "$@"
"""
# Those of Fedora, Arch and Debian that a build may trip over.
FLAGS = {
    "CFLAGS": "-O2 -flto=auto -flto-partition=max -Werror=format-security -fcf-protection",
    "LDFLAGS": "-Wl,-z,relro -Wl,-z,now -Wl,--build-id=sha1 -Wl,--as-needed -flto=auto",
}


def configured(build: Path, *prefix: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Configure a build without musl."""
    return subprocess.run(
        [*prefix, "cmake", "-S", str(SOURCES / "native"), "-B", str(build), *GLIBC],
        env={**os.environ, "CMAKE_C_COMPILER_LAUNCHER": "ccache", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def build_targets(build: Path, *targets: str, prefix: tuple[str, ...] = ()) -> None:
    """Build these programs."""
    done = subprocess.run(
        [*prefix, "cmake", "--build", str(build), "-j2", "--target", *targets],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def hiding(script: str, overlay: Path, folder: str) -> tuple[str, ...]:
    """Return a prefix for commands that do not see some files of this folder."""
    return ("unshare", "--mount", "sh", "-euc", script, "hide", str(overlay), folder)


def test_the_shim_for_32_bit_programs_needs_no_32_bit_libc(tmp_path: Path) -> None:
    """With glibc's headers for 64 bits only."""
    build = tmp_path / "a build"
    hide = hiding(WITHOUT_32_BIT_LIBC, tmp_path / "overlay", "/usr/include")
    done = configured(build, *hide, CMAKE_C_COMPILER_LAUNCHER="")
    assert done.returncode == 0, done.stdout + done.stderr
    build_targets(build, "shim32", prefix=hide)
    with (build / "shim32" / "libksmrun-preload.so").open("rb") as file:
        assert ELFFile(file).header.e_machine == "EM_386"


def test_without_a_static_libc(tmp_path: Path) -> None:
    """It is told before anything is built, with the packages' names."""
    libraries = "/usr/lib/x86_64-linux-gnu"
    done = configured(
        tmp_path / "build", *hiding(WITHOUT_STATIC_LIBC, tmp_path / "overlay", libraries)
    )
    assert done.returncode != 0
    said = " ".join(done.stderr.split())
    assert "links no static program" in said
    assert "musl-tools on Debian" in said and "glibc-static on Fedora" in said


def test_flags_of_distributions(tmp_path: Path) -> None:
    """They link, and leave the shim its two segments and its unwind tables."""
    build = tmp_path / "a build"
    done = configured(build, **FLAGS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "will get no shim" not in done.stderr
    build_targets(build, "ksmrun-exec", "shim", "shim32")
    for name in ("shim", "shim32"):
        with (build / name / "libksmrun-preload.so").open("rb") as file:
            library = ELFFile(file)
            types = [segment.header.p_type for segment in library.iter_segments()]
            assert types.count("PT_LOAD") == 2
            assert "PT_GNU_RELRO" not in types
            assert library.get_section_by_name(".note.gnu.build-id") is None
            assert "PT_GNU_EH_FRAME" in types
    probe = subprocess.run(
        [build / "ksmrun-exec", "--merge=off", "--", "echo", "started"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert probe.stdout == "started\n"


def test_built_by_clang(tmp_path: Path) -> None:
    """Freestanding, it would have no unwind tables."""
    build = tmp_path / "build"
    done = configured(build, CC="clang")
    assert done.returncode == 0, done.stdout + done.stderr
    build_targets(build, "shim")
    with (build / "shim" / "libksmrun-preload.so").open("rb") as file:
        section = ELFFile(file).get_section_by_name(".eh_frame")
        assert section is not None and section.data_size > 0
