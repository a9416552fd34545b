"""/proc shows a moved program like one that was started directly, except for the addresses."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import Build

LINKED: dict[str, tuple[str, ...]] = {
    "pie": (),
    "no_pie": ("-no-pie",),
    "static": ("-static",),
    "static_pie": ("-static-pie",),
}
LINKED |= {f"{name}_32": ("-m32", *options) for name, options in LINKED.items()}
# Times, counters and the PID.
CHANGING = {"arch_status", "io", "numa_maps", "sched", "schedstat", "smaps_rollup", "statm"}
# The moved program also has page tables for the old places of its parts.
CHANGING_ROWS = (
    *("Pid:", "Tgid:", "NSpid:", "NStgid:", "VmHWM:", "VmRSS:", "Rss", "VmPTE:"),
    # Including one page for each MiB that is closed to MAP_32BIT (native/layout/low.h).
    *("VmPeak:", "VmSize:", "VmStk:"),
    *("voluntary_ctxt", "nonvoluntary_ctxt", "SigQ:"),
)
# proc_pid_stat(5): minflt, majflt, utime, stime, starttime, vsize, rss, processor; and for the
# child that the launcher waited for, cminflt, cmajflt, cutime, cstime.
CHANGING_FIELDS = {10, 12, 14, 15, 22, 23, 24, 39, 11, 13, 16, 17}
# include/linux/sched.h: whether the kernel randomised this exec, which nothing reads later.
FLAGS_FIELD, PF_RANDOMIZE = 9, 0x00400000
SMAPS_ROWS = ("Size:", "KernelPageSize:", "MMUPageSize:", "THPeligible:", "VmFlags:")
AT_PLATFORM, AT_RANDOM, AT_EXECFN = 15, 25, 31


@dataclass(frozen=True)
class Mapping:
    start: int
    end: int
    what: str  # modes, offset, file and name: everything but the address
    rows: tuple[str, ...]


def mappings(process: Path) -> list[Mapping]:
    found: list[Mapping] = []
    for line in (process / "smaps").read_text().splitlines():
        name, *words = line.split()
        if not name.endswith(":"):
            start, end = (int(address, 16) for address in name.split("-"))
            found.append(Mapping(start, end, " ".join(words), ()))
        elif name in SMAPS_ROWS:
            last = found[-1]
            found[-1] = Mapping(last.start, last.end, last.what, (*last.rows, line))
    return found


def is_low_page(mapping: Mapping) -> bool:
    """Return whether it is one of those that close the start of MAP_32BIT's range."""
    return mapping.start >> 28 == 4 and mapping.what == "---p 00000000 00:00 0"


@dataclass(frozen=True)
class Seen:
    """Running program seen from outside, with addresses replaced by what is there."""

    process: Path
    word_bytes: int

    def symbol(self, address: int) -> object:
        """Name an address's place; the stack's contents have no fixed distance from its start."""
        for mapping in mappings(self.process):
            if mapping.start <= address < mapping.end:
                is_stack = mapping.what.endswith("[stack]")
                return (mapping.what, None if is_stack else address - mapping.start)
        return address

    def memory(self, address: int, size: int) -> bytes:
        with (self.process / "mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            return memory.read(size) or b""

    def maps(self) -> list[tuple[str, tuple[str, ...]]]:
        found = mappings(self.process)
        return sorted((each.what, each.rows) for each in found if not is_low_page(each))

    def low_pages(self) -> int:
        return sum(map(is_low_page, mappings(self.process)))

    def stat(self) -> dict[int, object]:
        words = (self.process / "stat").read_text().rpartition(")")[2].split()
        fields = dict(enumerate(words, start=3))
        found = {n: self.symbol(int(word)) for n, word in fields.items() if word.isdigit()}
        found[FLAGS_FIELD] = int(fields[FLAGS_FIELD]) & ~PF_RANDOMIZE
        return {n: value for n, value in found.items() if n not in CHANGING_FIELDS}

    def first_word(self) -> int:
        """Return the first word of the stack (field 28, startstack): the number of arguments."""
        words = (self.process / "stat").read_text().rpartition(")")[2].split()
        return int.from_bytes(self.memory(int(words[28 - 3]), self.word_bytes), "little")

    def auxv(self) -> dict[int, object]:
        raw = (self.process / "auxv").read_bytes()
        found: dict[int, object] = {}
        for kind, value in struct.iter_unpack("QQ" if self.word_bytes == 8 else "II", raw):
            found[kind] = self.symbol(value)
            if kind in (AT_EXECFN, AT_PLATFORM):
                found[kind] = (found[kind], self.memory(value, 64).split(b"\0")[0])
        return found

    def waits_at(self) -> list[object]:
        """Return stack pointer and program counter, after the arguments of the system call."""
        words = (self.process / "syscall").read_text().split()
        return [words[0], *(self.symbol(int(word, 16)) for word in words[-2:])]

    def files(self) -> dict[str, object]:
        """Return all other readable files."""
        found: dict[str, object] = {}
        for file in sorted(self.process.iterdir()):
            name = file.name
            if file.is_symlink():
                found[name] = str(file.readlink())
            elif file.is_dir():
                names = sorted(entry.name for entry in file.iterdir())
                found[name] = len(names) if name in ("map_files", "task") else names
            elif name not in CHANGING | {"auxv", "maps", "mem", "smaps", "stat", "syscall"}:
                try:
                    rows = file.read_bytes().decode("latin-1").splitlines()
                except OSError as error:
                    found[name] = error.errno
                else:
                    found[name] = [row for row in rows if not row.startswith(CHANGING_ROWS)]
        return found


@contextmanager
def waiting(*command: str) -> Iterator[Seen]:
    """Start the program `frames`, and wait until it waits."""
    environment = {"PATH": "/usr/bin:/bin", "SOME": "thing"}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        folder = Path(f"/proc/{process.pid}")
        with (folder / "exe").open("rb") as file:
            seen = Seen(folder, word_bytes=4 * file.read(5)[4])
        while (seen.process / "syscall").read_text().startswith("running"):
            pass
        yield seen
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("linked", LINKED)
def test_proc(launch: list[str], build: Build, linked: str) -> None:
    command = [build("frames", *LINKED[linked]), "wait", "7"]
    with waiting(*command) as direct, waiting(*launch, *command) as moved:
        assert moved.maps() == direct.maps()
        assert (moved.low_pages() <= 32, direct.low_pages()) == (True, 0)
        assert moved.stat() == direct.stat()
        assert moved.first_word() == direct.first_word() == 3
        assert moved.auxv() == direct.auxv()
        assert moved.waits_at() == direct.waits_at()
        assert moved.files() == direct.files()
        labels = {mapping.what.split()[-1] for mapping in mappings(moved.process)}
        assert {"[heap]", "[stack]", "[vdso]", command[0]} <= labels
        assert (moved.process / "exe").readlink() == Path(command[0])
        assert (moved.process / "cmdline").read_bytes().split(b"\0")[1:] == [b"wait", b"7", b""]
        assert (moved.process / "environ").read_bytes().endswith(b"SOME=thing\0")
