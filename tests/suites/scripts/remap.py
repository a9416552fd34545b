"""Mappings that grow, move and shrink after a pause: each is one mapping to its program.

mremap(2) takes a range of one VMA only, and fails with EFAULT if it was split.
"""

from __future__ import annotations

import mmap
import time

MIB = 1 << 20


def main() -> None:
    areas = [
        mmap.mmap(-1, mib * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) for mib in (1, 4, 16)
    ]
    for area in areas:
        area[:] = b"x" * len(area)
    for factor in (4, 2, 1):
        # Longer than a marking thread waits before it checks memory that has grown again.
        time.sleep(0.8)
        for area, mib in zip(areas, (1, 4, 16), strict=True):
            try:
                area.resize(mib * factor * MIB)
            except OSError as error:
                print(mib, factor, error)
            print(mib, factor, len(area), area[:2], area[-2:])
            area[-2:] = b"yz"


if __name__ == "__main__":
    main()
