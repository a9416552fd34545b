"""Boot different kernels, run the product in each, and print a table of the results.

tests/kernels/run.sh [VERSION[-FLAVOUR]]...
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from compiled import compile_to

from . import patched
from .initrd import build_arm64_initrd, build_initrd
from .kernels import ARM64_16K, CLOUD_AMD64, CLOUD_ARM64, fetch

# Flavours without a kernel image package: built here, and Debian's user-mode-linux.
PATCHED, UML, ARM64_64K = "patched", "user-mode-linux", "arm64-64k"
Kernel = tuple[str, str]
ALL: list[Kernel] = [
    *(("5.10", CLOUD_AMD64), ("6.1", CLOUD_AMD64), ("6.1", UML)),
    *((version, PATCHED) for version in patched.PATCHES),
    *((version, CLOUD_AMD64) for version in ("6.12", "6.16", "6.17", "6.18", "6.19")),
    *((version, CLOUD_AMD64) for version in ("7.0", "7.1", "7.2", "7.3")),
    # From trixie on there is a flavour with 16 KiB pages.
    *(("6.12", CLOUD_ARM64), ("6.12", ARM64_16K), ("6.12", ARM64_64K), ("7.3", ARM64_16K)),
]
ARM64 = (CLOUD_ARM64, ARM64_16K, ARM64_64K)
# As many as there are kernels.
IS_LONG = os.environ.get("KSMRUN_KERNELS") == "all"
ALL_OF_IT = ["ksmrun.all"] * IS_LONG
# Other tests have priority.
BOOT_SECONDS = 3600
MEMORY = 512
QEMU_X86 = ["qemu-system-x86_64", "-machine", "q35,mem-merge=off"]
QEMU_ARM64 = ["qemu-system-aarch64", "-machine", "virt,mem-merge=off"]
QEMU_ARM64 += ["-cpu", "max,pauth-impdef=on"]
QEMU_OPTIONS = ["-accel", "tcg", "-m", str(MEMORY), "-nographic", "-nodefaults", "-no-reboot"]
QEMU_OPTIONS += ["-serial", "stdio"]


@dataclass(frozen=True)
class Guest:
    """Results of one kernel: its name, and the values that guest.sh printed."""

    kernel: str
    flavour: str
    values: dict[str, str]

    @property
    def probe(self) -> dict[str, Any]:
        """Return the launcher's own findings."""
        found: dict[str, Any] = json.loads(self.values["probe"])
        return found


def uml_command(preload: Path) -> list[str]:
    """Return how to start user-mode-linux, Debian's, which is built without CONFIG_KSM.

    preload: the file that makes it run on processors with AMX, which is written. Only the first
    console is visible.
    """
    source = Path(__file__).with_name("uml_xstate.c")
    made = preload.with_suffix(f".{os.getpid()}")
    compile_to(made, ["gcc", "-shared", "-fPIC", "-O1", source])
    made.replace(preload)
    command = ["env", f"LD_PRELOAD={preload}", "linux.uml"]
    return [*command, f"mem={MEMORY}M", "con=null", "con0=null,fd:1"]


def boot(kernel: Kernel, initrd: Path) -> Guest:
    """Boot it. Raises SystemExit with the end of the console if the guest did not complete."""
    version, flavour = kernel
    if flavour == UML:
        uml = uml_command(initrd.with_name("uml_xstate.so"))
        name, command = UML, [*uml, f"initrd={initrd}", *ALL_OF_IT, "rdinit=/init"]
    else:
        if flavour == PATCHED:
            name, vmlinuz = patched.build(version)
        elif flavour == ARM64_64K:
            name, vmlinuz = patched.build_arm64_64k()
        else:
            name, vmlinuz = fetch(version, flavour)
        qemu, console = (QEMU_ARM64, "ttyAMA0") if flavour in ARM64 else (QEMU_X86, "ttyS0")
        # On a busy host the emulated timer may be too late for the kernel's check of it.
        line = [f"console={console}", "panic=-1", "quiet", "no_timer_check", *ALL_OF_IT]
        line += ["rdinit=/init"]
        files = ["-kernel", str(vmlinuz), "-initrd", str(initrd), "-append", " ".join(line)]
        command = [*qemu, *QEMU_OPTIONS, *files]
    return Guest(name, flavour, run_guest(name, command))


def run_guest(name: str, command: list[str]) -> dict[str, str]:
    """Return the values that it prints. Raises SystemExit, see boot()."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=BOOT_SECONDS,
        check=False,
    )
    console_text = done.stdout.decode("utf-8", "replace").replace("\r", "")
    values = dict(line.split("=", 1) for line in console_text.splitlines() if "=" in line)
    if "end" not in values:
        raise SystemExit(f"{name} did not come to its end:\n{console_text[-3000:]}")
    return values


def row(guest: Guest) -> list[str]:
    """Return a line of the table."""
    probe, values = guest.probe, guest.values
    kept = {True: "yes", False: "no", None: "-"}
    brk, mmap = values["vmas"].split()
    release = probe["kernel"].removesuffix(f"-{guest.flavour}").partition("+")[0]
    note = {CLOUD_ARM64: ", aarch64", ARM64_16K: ", aarch64, 16 KiB pages", UML: f", {UML}"}
    note[ARM64_64K] = ", aarch64, 64 KiB pages"

    def of(key: str, kinds: str) -> str:
        # -1: this kernel does not count by process.
        found = [values.get(f"{key}_{kind}", "-") for kind in kinds.split()]
        return "/".join("?" if number == "-1" else number for number in found)

    return [
        release + note.get(guest.flavour, ""),
        "yes" if probe["prctl_supported"] else str(probe["prctl_obstacle"]),
        kept[probe["kept_over_exec"]],
        values["scanned_probe"].split()[0],
        of("flag", "static glibc musl i386-static i386"),
        of("shim", "glibc musl i386"),
        of("merged", "static glibc musl i386"),
        of("merged", "mark-glibc mark-musl mark-i386"),
        f"{brk} / {mmap}",
        of("maps", "unwrapped-glibc glibc join mark-glibc"),
    ]


COLUMNS = [
    *("kernel", "prctl", "kept over exec", "scanned"),
    "flag by the launcher: static/glibc/musl/i386 static/i386",
    "by the shim: glibc/musl/i386",
    "pages merged: static by the launcher, glibc/musl/i386 by the shim",
    "pages marked by the shim that merged: glibc/musl/i386",
    "VMAs of 4 MiB of brk steps / mmaps, a page each",
    "all VMAs of that program: unwrapped/with the flag/joined/marked",
]


def kernel_named(word: str) -> Kernel:
    """Return the kernel of VERSION or VERSION-FLAVOUR; by default a PC's flavour."""
    version, _, flavour = word.partition("-")
    return version, flavour or (PATCHED if version in patched.PATCHES else CLOUD_AMD64)


def main() -> int:
    """Print the table in Markdown."""
    kernels = [kernel_named(word) for word in sys.argv[1:]] or ALL
    with tempfile.TemporaryDirectory() as folder:

        @cache
        def initrd(is_arm64: bool) -> Path:
            place = Path(folder, "arm64" if is_arm64 else "amd64")
            place.mkdir()
            return build_arm64_initrd(place) if is_arm64 else build_initrd(place)

        print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
        for kernel in kernels:
            guest = boot(kernel, initrd(kernel[1] in ARM64))
            print(f"| {' | '.join(row(guest))} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
