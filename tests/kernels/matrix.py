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

from .kernels import cache_folder, fetch

HERE = Path(__file__).parent
ALL = ("5.10", "6.1", "6.12", "6.16", "6.17", "6.18", "6.19", "7.0", "7.1", "7.2", "7.3")
BOOT_SECONDS = 240
QEMU = [
    *("qemu-system-x86_64", "-accel", "tcg", "-machine", "q35,mem-merge=off", "-m", "512"),
    *("-nographic", "-nodefaults", "-no-reboot", "-serial", "stdio"),
]
COMMAND_LINE = "console=ttyS0 panic=-1 quiet rdinit=/init"


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


def boot(version: str, initrd: Path) -> Guest:
    """Raises SystemExit with the end of the console where the guest did not come to its end."""
    package, vmlinuz = fetch(version)
    command = [*QEMU, "-kernel", str(vmlinuz), "-initrd", str(initrd), "-append", COMMAND_LINE]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=BOOT_SECONDS, check=False
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
    shutil.copy(HERE / "guest.sh", root / "init")
    (root / "init").chmod(0o755)
    flag = HERE.parent / "integration/programs/flag.c"
    compile_(["gcc", "-static"], HERE / "equal.c", root / "bin/equal")
    lose = HERE.parent / "integration/programs/lose.c"
    compile_(["gcc", "-static"], lose, root / "bin/lose")
    compile_(["gcc", "-static"], flag, root / "bin/flag-static")
    compile_(["gcc"], flag, root / "bin/flag-glibc")
    compile_(["musl-gcc"], flag, root / "bin/flag-musl")
    libraries = ("/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6")
    for library in (*libraries, "/lib/ld-musl-x86_64.so.1"):
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(library).resolve(), target)
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    initrd = folder / "initrd"
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
        "/".join(values[f"flag_{kind}"] for kind in ("static", "glibc", "musl")),
        "/".join(values[f"shim_{kind}"] for kind in ("glibc", "musl")),
        values["sharing"],
        f"{brk} / {mmap}",
    ]


COLUMNS = ["kernel", "prctl", "kept over exec", "scanned", "flag in static/glibc/musl"]
COLUMNS += ["by the shim, glibc/musl", "pages shared", "VMAs of 512 brk steps / 512 mmaps"]


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
    return 0


if __name__ == "__main__":
    sys.exit(main())
