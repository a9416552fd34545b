"""Initial RAM disk of the guests: busybox, the product, and small programs of several kinds."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from compiled import build_arm64, compile_to

from ksmrun.facts.launcher import LAUNCHER, launcher_path

from .kernels import unpack

HERE = Path(__file__).parent
PROGRAMS = HERE.parent / "integration/programs"
WHERE, DISTURB = PROGRAMS / "where.c", HERE / "disturb.c"
SOURCES = (PROGRAMS / "flag.c", PROGRAMS / "sweep.c", WHERE, HERE / "equal.c")
# The kernel's headers, which musl does not have.
HEADERS = ["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"]
SHIM = "libksmrun-preload.so"
# Debian's gcc-multilib and its cross compilers exclude each other; this is multilib's part.
M32 = ["gcc-12", "-m32", "-I/usr/include/x86_64-linux-gnu"]


def build_initrd(folder: Path) -> Path:
    """Build it for amd64: a root with the installed product, and programs of 64 and 32 bits."""
    root = folder / "root"
    libexec = LAUNCHER.parent
    add_base(root, Path("/bin/busybox"), launcher_path())
    add_glibc_programs(root, "gcc", libexec / "shim/x86_64" / SHIM)
    add_programs(root, "musl", ["musl-gcc", *HEADERS], libexec / "shim/x86_64" / SHIM)
    add_programs(root, "i386-static", [*M32, "-static"])
    add_programs(root, "i386", M32, libexec / "shim/i686" / SHIM)
    add_libraries(
        root,
        *("/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"),
        *("/lib/ld-musl-x86_64.so.1", "/lib/ld-linux.so.2", "/lib32/libc.so.6"),
        # pthread_exit loads it.
        *("/lib/x86_64-linux-gnu/libgcc_s.so.1", "/lib32/libgcc_s.so.1"),
    )
    return pack(root, folder / "initrd")


def build_numa_initrd(folder: Path) -> Path:
    """Build one for amd64 with the launcher and one program, whose init is numa.sh."""
    root = folder / "root"
    add_base(root, Path("/bin/busybox"), launcher_path(), init="numa.sh")
    add_programs(root, "static", ["gcc", "-static"], sources=(HERE / "equal.c",))
    return pack(root, folder / "initrd")


def build_arm64_initrd(folder: Path, libexec: Path | None = None) -> Path:
    """Build the same for aarch64, cross-compiled from the source tree.

    libexec: of a wheel, whose files are taken instead.
    """
    root, compiler = folder / "root", "aarch64-linux-gnu-gcc"
    if libexec is None:
        busybox, build = arm64_parts(folder)
        launcher, shim = build / "ksmrun-exec", build / "shim" / SHIM
    else:
        busybox = arm64_busybox(folder)
        launcher, shim = libexec / "ksmrun-exec", libexec / "shim/aarch64" / SHIM
    add_base(root, busybox, launcher)
    add_glibc_programs(root, compiler, shim)
    add_programs(root, "musl", arm64_musl(folder / "musl", compiler), shim)
    libraries = ("/lib/ld-linux-aarch64.so.1", "/lib/libc.so.6", "/lib/libgcc_s.so.1")
    add_libraries(root, *libraries, prefix="/usr/aarch64-linux-gnu")
    add_libraries(root, "/lib/ld-musl-aarch64.so.1", prefix=f"{folder}/musl/usr")
    return pack(root, folder / "initrd")


def arm64_parts(folder: Path) -> tuple[Path, Path]:
    """Return busybox, and the folder that the product was cross-compiled in."""
    build = folder / "build"
    build_arm64(build)
    return arm64_busybox(folder), build


def arm64_busybox(folder: Path) -> Path:
    """Return Debian's static busybox."""
    unpack("busybox-static:arm64", folder)
    return next(folder.rglob("bin/busybox"))


def arm64_musl(folder: Path, compiler: str) -> list[str]:
    """Return Debian's musl for arm64, used as its own musl-gcc would."""
    folder.mkdir()
    for package in ("musl:arm64", "musl-dev:arm64"):
        unpack(package, folder)
    (specs,) = folder.rglob("musl-gcc.specs")
    specs.write_text(specs.read_text().replace("/usr/", f"{folder}/usr/"))
    headers = ["-idirafter", "/usr/aarch64-linux-gnu/include"]
    # The external ones are functions of libgcc, which call glibc.
    return [compiler, f"-specs={specs}", "-mno-outline-atomics", *headers]


def add_base(root: Path, busybox: Path, launcher: Path, init: str = "guest.sh") -> None:
    """Add what needs no library."""
    (root / "bin").mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    shutil.copy(launcher, root / "bin/ksmrun-exec")
    shutil.copy(HERE / "layout.sh", root)
    shutil.copy(HERE / init, root / "init")
    (root / "init").chmod(0o755)


def add_glibc_programs(root: Path, compiler: str, shim: Path) -> None:
    """Add a program in every way that it can be linked."""
    add_programs(root, "glibc", [compiler], shim)
    add_programs(root, "static", [compiler, "-static"], sources=(*SOURCES, DISTURB))
    add_programs(root, "no-pie", [compiler, "-no-pie"], sources=(WHERE,))
    add_programs(root, "static-pie", [compiler, "-static-pie"], sources=(WHERE,))


def add_programs(
    root: Path,
    kind: str,
    compiler: list[str],
    shim: Path | None = None,
    sources: Sequence[Path] = SOURCES,
) -> None:
    """Add the helper programs of one kind, and the shim that this kind can load."""
    for source in sources:
        target = root / f"bin/{source.stem}-{kind}"
        compile_to(target, [*compiler, "-O1", source])
    if shim is not None:
        shutil.copy(shim, root / f"shim-{kind}.so")


def add_libraries(root: Path, *names: str, prefix: str = "") -> None:
    """Add libraries of the host, at the same path."""
    for name in names:
        target = root / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(f"{prefix}{name}").resolve(), target)


def pack(root: Path, initrd: Path) -> Path:
    """Pack the folder as the kernel expects it."""
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with initrd.open("wb") as output:
        cpio = ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"]
        subprocess.run(cpio, cwd=root, input=names.encode(), stdout=output, check=True)
    return initrd
