"""Sample of a process's resident pages, and whether their bytes change. Only reads."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from ksmrun.facts.smaps import Vma

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
ENTRY_BYTES = 8
# Documentation/admin-guide/mm/pagemap.rst. Reading an absent page would make it resident.
PRESENT, FILE_OR_SHARED = 1 << 63, 1 << 61


def sample_addresses(folder: Path, vmas: Sequence[Vma], pages: int) -> list[int]:
    """Return up to that many resident anonymous pages of these VMAs, drawn uniformly, each once.

    Raises OSError if the process is gone or may not be read.
    """
    weights = [vma.sizes.get("anonymous_bytes", 0) for vma in vmas]
    found: set[int] = set()
    if not any(weights):
        return []
    descriptor = os.open(folder / "pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Some draws repeat, and some hit absent pages; for sparse mappings the attempts are
        # limited.
        for vma in random.choices(vmas, cum_weights=list(accumulate(weights)), k=8 * pages):
            address = random.randrange(vma.start, vma.end, PAGE_BYTES)
            data = os.pread(descriptor, ENTRY_BYTES, address // PAGE_BYTES * ENTRY_BYTES)
            entry = int.from_bytes(data, "little")
            if entry & PRESENT and not entry & FILE_OR_SHARED:
                found.add(address)
            if len(found) == pages:
                break
    finally:
        os.close(descriptor)
    return sorted(found)


def read_pages(folder: Path, addresses: Sequence[int]) -> dict[int, int]:
    """Return the hash of each page's bytes, without pages that are gone. Raises OSError."""
    hashes = {}
    descriptor = os.open(folder / "mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for address in addresses:
            try:
                data = os.pread(descriptor, PAGE_BYTES, address)
            # EIO: unmapped meanwhile.
            except OSError:
                continue
            # Nothing can be read of a process that ended.
            if len(data) == PAGE_BYTES:
                hashes[address] = hash(data)
    finally:
        os.close(descriptor)
    return hashes
