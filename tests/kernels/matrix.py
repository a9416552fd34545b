"""Boots real Debian kernels in QEMU, runs the product in each, and prints a table of what it saw.

cd tests && ../.venv/bin/python -m kernels.matrix [VERSION]...
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ksmrun.facts.launcher import LAUNCHER, launcher_path

from .kernels import ARM64_16K, CLOUD_AMD64, CLOUD_ARM64, cache_folder, fetch, unpack

HERE = Path(__file__).parent
FLAG = HERE.parent / "integration/programs/flag.c"
ALL = ("5.10", "6.1", "6.12", "6.16", "6.17", "6.18", "6.19", "7.0", "7.1", "7.2", "7.3")
# Of trixie, which has a flavour with pages of 16 KiB.
ARM64_VERSION = "6.12"
BOOT_SECONDS = 240
QEMU = {
    "amd64": ["qemu-system-x86_64", "-machine", "q35,mem-merge=off"],
    "arm64": [
        "qemu-system-aarch64",
        "-machine",
        "virt,mem-merge=off",
        "-cpu",
        "max,pauth-impdef=on",
    ],
}
CONSOLE = {"amd64": "ttyS0", "arm64": "ttyAMA0"}
QEMU_OPTIONS = [
    *("-accel", "tcg", "-m", "512", "-nographic", "-nodefaults", "-no-reboot", "-serial", "stdio"),
]


@dataclass(frozen=True)
class Guest:
    """What one kernel showed: its name, and the values that guest.sh printed."""

    kernel: str
    values: dict[str, str]

    @property
    def probe(self) -> dict[str, Any]:
        """The launcher's own findings."""
        found: dict[str, Any] = json.loads(self.values["probe"])
        return found


def boot(version: str, initrd: Path, flavour: str = CLOUD_AMD64) -> Guest:
    """Raises SystemExit with the end of the console where the guest did not come to its end."""
    package, vmlinuz = fetch(version, flavour)
    machine = "amd64" if flavour == CLOUD_AMD64 else "arm64"
    line = f"console={CONSOLE[machine]} panic=-1 quiet rdinit=/init"
    files = ["-kernel", str(vmlinuz), "-initrd", str(initrd), "-append", line]
    done = subprocess.run(
        [*QEMU[machine], *QEMU_OPTIONS, *files],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=BOOT_SECONDS,
        check=False,
    )
    console = done.stdout.decode("utf-8", "replace").replace("\r", "")
    values = dict(line.split("=", 1) for line in console.splitlines() if "=" in line)
    if "end" not in values:
        raise SystemExit(f"{package} did not come to its end:\n{console[-3000:]}")
    return Guest(package, values)


def build_initrd(folder: Path) -> Path:
    """A root with busybox, the installed launcher, and small programs of three kinds."""
    root = folder / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    shutil.copy(launcher_path(), root / "bin/ksmrun-exec")
    shim = LAUNCHER.parent / "lib/x86_64-linux-gnu/libksmrun-preload.so"
    shutil.copy(shim, root / "shim.so")
    add_programs(root, "gcc", ["/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"])
    compile_(["musl-gcc"], FLAG, root / "bin/flag-musl")
    shutil.copy(Path("/lib/ld-musl-x86_64.so.1").resolve(), root / "lib/ld-musl-x86_64.so.1")
    return pack(root, folder / "initrd")


def build_arm64_initrd(folder: Path) -> Path:
    """The same, cross-built from the source tree; without musl, for which there is no compiler."""
    root = folder / "root"
    (root / "bin").mkdir(parents=True)
    unpack("busybox-static:arm64", folder)
    shutil.copy(next(folder.rglob("bin/busybox")), root / "bin/busybox")
    build = folder / "build"
    configure = ["cmake", "-S", str(HERE.parents[1] / "native"), "-B", str(build)]
    options = ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"]
    options += ["-DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc"]
    subprocess.run([*configure, *options], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", build], check=True, stdout=subprocess.DEVNULL)
    shutil.copy(build / "ksmrun-exec", root / "bin/ksmrun-exec")
    shutil.copy(build / "shim/libksmrun-preload.so", root / "shim.so")
    libc = Path("/usr/aarch64-linux-gnu/lib")
    add_programs(root, "aarch64-linux-gnu-gcc", [])
    for name in ("ld-linux-aarch64.so.1", "libc.so.6"):
        (root / "lib").mkdir(exist_ok=True)
        shutil.copy((libc / name).resolve(), root / "lib" / name)
    return pack(root, folder / "initrd")


def add_programs(root: Path, compiler: str, libraries: list[str]) -> None:
    """What both have: the init script, the helper programs, the libraries of the dynamic one."""
    shutil.copy(HERE / "guest.sh", root / "init")
    (root / "init").chmod(0o755)
    compile_([compiler, "-static"], HERE / "equal.c", root / "bin/equal")
    compile_([compiler, "-static"], FLAG.with_name("lose.c"), root / "bin/lose")
    compile_([compiler, "-static"], FLAG, root / "bin/flag-static")
    compile_([compiler], FLAG, root / "bin/flag-glibc")
    for library in libraries:
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(library).resolve(), target)


def pack(root: Path, initrd: Path) -> Path:
    """The folder as the kernel wants it."""
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with initrd.open("wb") as output:
        cpio = ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"]
        subprocess.run(cpio, cwd=root, input=names.encode(), stdout=output, check=True)
    return initrd


def compile_(compiler: list[str], source: Path, target: Path) -> None:
    """One file, one program."""
    subprocess.run([*compiler, "-O1", "-o", target, source], check=True)


def row(guest: Guest) -> list[str]:
    """A line of the table."""
    probe, values = guest.probe, guest.values
    kept = {True: "yes", False: "no", None: "-"}
    brk, mmap = (values.get("vmas") or "- -").split()
    return [
        probe["kernel"],
        "yes" if probe["prctl_supported"] else str(probe["prctl_obstacle"]),
        kept[probe["kept_over_exec"]],
        values["scanned_probe"].split()[0],
        "/".join(values.get(f"flag_{kind}", "-") for kind in ("static", "glibc", "musl")),
        "/".join(values.get(f"shim_{kind}", "-") for kind in ("glibc", "musl")),
        values["sharing"],
        f"{brk} / {mmap}",
    ]


COLUMNS = ["kernel", "prctl", "kept over exec", "scanned", "flag in static/glibc/musl"]
COLUMNS += [
    "by the shim, glibc/musl",
    "pages shared",
    "VMAs of 2 MiB of brk steps / mmaps, a page each",
]


def main() -> int:
    """Prints the table in Markdown."""
    versions = sys.argv[1:] or ALL
    cache_folder().mkdir(parents=True, exist_ok=True)
    print(f"| {' | '.join(COLUMNS)} |")
    print(f"|{'---|' * len(COLUMNS)}")
    with tempfile.TemporaryDirectory() as folder:
        initrd = build_initrd(Path(folder))
        for version in versions:
            print(f"| {' | '.join(row(boot(version, initrd)))} |", flush=True)
    if versions is ALL:
        with tempfile.TemporaryDirectory() as folder:
            initrd = build_arm64_initrd(Path(folder))
            for flavour in (CLOUD_ARM64, ARM64_16K):
                guest = boot(ARM64_VERSION, initrd, flavour)
                print(f"| {' | '.join(row(guest))} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
