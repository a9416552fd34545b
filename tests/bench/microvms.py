"""Measure what merging saves over equal virtual machines whose VMM does not ask for it.

QEMU with mem-merge=off leaves its guests' memory unmarked, as firecracker and cloud-hypervisor do;
under ksmrun-exec it merges all the same. The guests are emulated (TCG), so no /dev/kvm is needed.
Needs root, qemu-system-x86_64, busybox and cpio; KSM is restored.

.venv/bin/python tests/bench/microvms.py [--kernel FILE] [--guests N] [--guest-mib N]
    [--data-mib N]

--kernel: by default one that `tests/run.sh kernels` has fetched.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.launcher import launcher_path
from ksmrun.facts.process import read_memory
from ksmrun.host.temporary_tunables import borrowed, other_settings
from ksmrun.observe.sampler import ksmd_cpu_seconds

# Where `tests/run.sh kernels` leaves kernels.
KERNELS, KERNEL = Path.home() / ".cache/ksmrun-kernels", "vmlinuz-linux-*-6.12.*-cloud-amd64"
MIB = 1 << 20
# Files of real programs, which each guest has in memory.
DATA = Path("/usr/lib/x86_64-linux-gnu")
INIT = """#!/bin/busybox sh
/bin/busybox echo booted
while :; do /bin/busybox sleep 60; done
"""
RATE = {"run": "1", "pages_to_scan": "5000", "sleep_millisecs": "20", "smart_scan": "0"}
SETTLED_SECONDS, SETTLED_PAGES, SECONDS_MAX = 15.0, 256, 600.0


def initrd(folder: Path, data_mib: int) -> Path:
    """Build a root with busybox and so much data."""
    root = folder / "root"
    (root / "bin").mkdir(parents=True)
    (root / "dev").mkdir()
    shutil.copy("/bin/busybox", root / "bin")
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    with (root / "data").open("wb") as data:
        for file in sorted(DATA.glob("*.so*")):
            if data.tell() >= data_mib * MIB:
                break
            if file.is_file() and not file.is_symlink():
                data.write(file.read_bytes()[: data_mib * MIB - data.tell()])
    disk = folder / "initrd"
    with disk.open("wb") as output:
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        cpio = ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"]
        subprocess.run(cpio, cwd=root, input=names.encode(), stdout=output, check=True)
    return disk


@contextmanager
def booted(arguments: argparse.Namespace, disk: Path, prefix: list[str]) -> Iterator[list[int]]:
    """Start the guests, wait until each has booted, and yield the PIDs of their VMMs."""
    line = [*prefix, "qemu-system-x86_64", "-accel", "tcg,tb-size=32"]
    line += ["-machine", "q35,mem-merge=off", "-m", str(arguments.guest_mib), "-nographic"]
    line += ["-nodefaults", "-no-reboot", "-serial", "stdio", "-kernel"]
    line += [str(arguments.kernel), "-initrd", str(disk)]
    line += ["-append", "console=ttyS0 panic=-1 quiet no_timer_check"]
    guests = []
    try:
        for _ in range(arguments.guests):
            guests.append(subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        for guest in guests:
            assert guest.stdout is not None
            while (text := guest.stdout.readline()) and b"booted" not in text:
                pass
            assert text, "a guest ended"
        yield [guest.pid for guest in guests]
    finally:
        for guest in guests:
            guest.kill()
            guest.communicate()


def anonymous_mib(pids: list[int]) -> float:
    """Return the sum of the anonymous PSS."""
    found = (read_memory(Path(f"/proc/{pid}")).pss_anonymous_bytes or 0 for pid in pids)
    return sum(found) / MIB


def settled() -> float:
    """Wait until merging no longer changes much; return the seconds that took."""
    begun = since = time.monotonic()
    before = -SETTLED_PAGES - 1
    while time.monotonic() - since < SETTLED_SECONDS and time.monotonic() - begun < SECONDS_MAX:
        time.sleep(1)
        ksm = read_ksm(ROOT)
        merged = ksm.merged_pages or 0
        if abs(merged - before) > SETTLED_PAGES:
            before, since = merged, time.monotonic()
    return since - begun


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description="Merging of microVMs.")
    parser.add_argument("--kernel", type=Path, default=next(KERNELS.glob(KERNEL), None))
    parser.add_argument("--guests", type=int, default=4)
    parser.add_argument("--guest-mib", type=int, default=256)
    parser.add_argument("--data-mib", type=int, default=32)
    arguments = parser.parse_args()
    if arguments.kernel is None:
        parser.error(f"no kernel in {KERNELS}; run tests/run.sh kernels, or give --kernel")
    print("| start | anonymous, MiB | after, MiB | saved | seconds | CPU of ksmd |")
    print("|---|---|---|---|---|---|")
    # Off while they boot, or some has merged before it is measured.
    with tempfile.TemporaryDirectory() as name, borrowed({"run": "0"}):
        disk = initrd(Path(name), arguments.data_mib)
        for start, prefix in (("alone", []), ("ksmrun-exec", [str(launcher_path()), "--"])):
            with booted(arguments, disk, prefix) as pids:
                before, cpu_before = anonymous_mib(pids), ksmd_cpu_seconds() or 0.0
                with other_settings(RATE):
                    seconds = settled()
                    after = anonymous_mib(pids)
                used = (ksmd_cpu_seconds() or 0.0) - cpu_before
            print(
                f"| {start} | {before:.0f} | {after:.0f} | {1 - after / before:.0%} "
                f"| {seconds:.0f} | {used:.1f} s |",
                flush=True,
            )


if __name__ == "__main__":
    main()
