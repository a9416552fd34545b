"""/proc/PID/smaps: the memory of one process by kind, and where the marked part of it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from ksmrun.facts.stat import memory_folder
from ksmrun.model.explain import MemoryKind
from ksmrun.model.frozen import dataclass

FIELDS = {
    b"Rss": "rss_bytes",
    b"Anonymous": "anonymous_bytes",
    b"KSM": "merged_bytes",
    b"AnonHugePages": "huge_bytes",
    b"Swap": "swap_bytes",
}
# Mappings that processes share and that have no file on disk.
SHARED_NAMES = (b"/dev/zero", b"/memfd:", b"/dev/shm/", b"/SYSV")


@dataclass(frozen=True)
class Vma:
    """One mapping. marked: KSM scans it. sizes: by the names of MemoryKind."""

    start: int
    end: int
    name: bytes
    flags: frozenset[bytes]
    sizes: dict[str, int]

    @property
    def is_marked(self) -> bool:
        """Return whether the mapping has "mg" among its VmFlags."""
        return b"mg" in self.flags

    @property
    def kind(self) -> str:
        """Kind of memory: heap, stack, anonymous, shared, files, hugetlb or kernel."""
        if b"ht" in self.flags:
            return "hugetlb"
        if self.name.startswith(SHARED_NAMES):
            return "shared"
        if self.name in (b"[heap]", b"[stack]"):
            return self.name.decode("ascii").strip("[]")
        if self.name.startswith(b"[anon_shmem"):
            return "shared"
        if self.name == b"" or self.name.startswith(b"[anon"):
            return "anonymous"
        return "kernel" if self.name.startswith(b"[") else "files"


def read_vmas(folder: Path) -> Iterator[Vma]:
    """Yield the VMAs one by one: 65,000 take half a second.

    Raises OSError if gone or not allowed.
    """
    start, end, name, sizes = 0, 0, b"", dict[str, int]()
    with (memory_folder(folder) / "smaps").open("rb") as smaps:
        for line in smaps:
            # Addresses are in lower-case hexadecimal digits; names of fields begin with a capital.
            if not line[:1].isupper():
                words = line.split(None, 5)
                first, _, last = words[0].partition(b"-")
                start, end = int(first, 16), int(last, 16)
                name = words[5].rstrip(b"\n") if len(words) > 5 else b""
                sizes = {}
                continue
            field, _, value = line.partition(b":")
            if field in FIELDS:
                sizes[FIELDS[field]] = int(value.split()[0]) * 1024
            elif field == b"VmFlags":
                yield Vma(start, end, name, frozenset(value.split()), sizes)


def by_kind(vmas: Iterator[Vma] | list[Vma]) -> dict[str, MemoryKind]:
    """Return the VMAs summed up by kind."""
    sums: dict[str, dict[str, int]] = {}
    for vma in vmas:
        total = sums.setdefault(vma.kind, {})
        more = {**vma.sizes, "vmas": 1, "size_bytes": vma.end - vma.start}
        if vma.is_marked:
            more["marked_bytes"] = vma.sizes.get("anonymous_bytes", 0)
            more["marked_huge_bytes"] = vma.sizes.get("huge_bytes", 0)
        for name, size in more.items():
            total[name] = total.get(name, 0) + size
    return {kind: MemoryKind(**sums[kind]) for kind in sorted(sums, key=_order)}


def _order(kind: str) -> int:
    return ("heap", "anonymous", "stack", "shared", "files", "hugetlb", "kernel").index(kind)


assert {*FIELDS.values()} <= {field.name for field in fields(MemoryKind)}
