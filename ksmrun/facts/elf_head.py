"""Read what a launch needs of an ELF file (elf(5)), as the kernel reads it: by its segments.

pyelftools (elf.py) reads the rest; importing it takes longer than a launch.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from ksmrun.model.frozen import dataclass
from ksmrun.support.foreign import open_regular

# The kernel refuses larger tables of segments, and longer loaders' paths (fs/binfmt_elf.c:
# load_elf_phdrs, load_elf_binary).
SEGMENTS_BYTES_MAX = 65536
LOADER_BYTES_MAX = 4096
DYNAMIC_BYTES_MAX = 65536
NAME_BYTES_MAX = 256
ORDERS = {1: "<", 2: ">"}
# By class: the fields after e_ident, of a segment in the order of _Segment, and of a dynamic tag.
HEADERS = {1: "HHIIIIIHHHHHH", 2: "HHIQQQIHHHHHH"}
SEGMENTS = {1: "IIIIIIII", 2: "IIQQQQQQ"}
SEGMENT_FIELDS = {1: (0, 1, 2, 4), 2: (0, 2, 3, 5)}
TAGS = {1: "iI", 2: "qQ"}
ET_DYN = 3
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NULL, DT_NEEDED, DT_STRTAB = 0, 1, 5
# EM_ constants, with the names that uname(2) has.
MACHINES = {
    **{3: "i386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64"},
    **{183: "aarch64", 243: "riscv64", 258: "loongarch64"},
}


class UnreadableElfError(ValueError):
    """The file is no ELF file, or is incomplete."""


@dataclass(frozen=True)
class ElfHead:
    """Class, machine and loader of a program; needed: libraries that it links (DT_NEEDED)."""

    class_bits: int
    machine: str
    is_pie: bool
    loader: str | None
    needed: tuple[str, ...]


@dataclass(frozen=True)
class _Segment:
    """Segment of the file, which the kernel maps or reads."""

    kind: int
    offset: int
    address: int
    file_bytes: int


def read_head(path: Path) -> ElfHead:
    """Return the head of a file. Raises UnreadableElfError."""
    try:
        descriptor = open_regular(path)
        try:
            return _read(descriptor)
        finally:
            os.close(descriptor)
    except (OSError, OverflowError, struct.error) as error:
        raise UnreadableElfError(str(error)) from error


def _read(file: int) -> ElfHead:
    head = os.pread(file, 64, 0)
    if not head.startswith(b"\x7fELF"):
        raise UnreadableElfError("it does not begin with ELF's magic number")
    # Class and byte order; a short head is as unknown as others.
    form, data = (*head[4:6], 0, 0)[:2]
    order = ORDERS.get(data)
    if form not in HEADERS or order is None:
        raise UnreadableElfError("its class or byte order is unknown")
    fields = struct.unpack_from(order + HEADERS[form], head, 16)
    segments = tuple(_segments(file, order, form, start=fields[4], count=fields[9]))
    dynamic = next((each for each in segments if each.kind == PT_DYNAMIC), None)
    return ElfHead(
        class_bits=32 * form,
        machine=MACHINES.get(fields[1], f"machine {fields[1]}"),
        is_pie=fields[0] == ET_DYN and dynamic is not None,
        loader=next((_loader(file, each) for each in segments if each.kind == PT_INTERP), None),
        needed=() if dynamic is None else tuple(_needed(file, order, form, dynamic, segments)),
    )


def _segments(file: int, order: str, form: int, *, start: int, count: int) -> Iterator[_Segment]:
    layout = order + SEGMENTS[form]
    size = struct.calcsize(layout) * count
    if size > SEGMENTS_BYTES_MAX:
        raise UnreadableElfError(f"it has {count} segments, more than the kernel accepts")
    table = os.pread(file, size, start)
    if len(table) < size:
        raise UnreadableElfError("its table of segments is cut off")
    for fields in struct.iter_unpack(layout, table):
        yield _Segment(*(fields[i] for i in SEGMENT_FIELDS[form]))


def _loader(file: int, segment: _Segment) -> str:
    found = os.pread(file, min(segment.file_bytes, LOADER_BYTES_MAX), segment.offset)
    path, end, _ = found.partition(b"\0")
    if not end:
        raise UnreadableElfError("the path of its loader does not end")
    return os.fsdecode(path)


def _needed(
    file: int, order: str, form: int, dynamic: _Segment, segments: tuple[_Segment, ...]
) -> Iterator[str]:
    layout = order + TAGS[form]
    table = os.pread(file, min(dynamic.file_bytes, DYNAMIC_BYTES_MAX), dynamic.offset)
    whole = len(table) - len(table) % struct.calcsize(layout)
    tags = [*takewhile(lambda tag: tag[0] != DT_NULL, struct.iter_unpack(layout, table[:whole]))]
    strings = _offset(dict(tags).get(DT_STRTAB), segments)
    for kind, value in tags:
        if kind == DT_NEEDED and strings is not None:
            name = os.pread(file, NAME_BYTES_MAX, strings + value)
            yield os.fsdecode(name.partition(b"\0")[0])


def _offset(address: int | None, segments: tuple[_Segment, ...]) -> int | None:
    """Return where in the file an address is."""
    for each in segments:
        start, end = each.address, each.address + each.file_bytes
        if address is not None and each.kind == PT_LOAD and start <= address < end:
            return each.offset + address - start
    return None
