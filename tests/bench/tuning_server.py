"""One process of the fleet of tuning.py: memory that merges, that stays unique, that changes.

tuning_server.py DATA_FILE UNIQUE_MIB CHANGING_MIB
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from pathlib import Path

PAGE_BYTES = 4096
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


def held(data: bytes) -> mmap.mmap:
    memory = mmap.mmap(-1, max(len(data), PAGE_BYTES), flags=PRIVATE)
    memory.write(data)
    return memory


def main() -> None:
    data_file, unique_mib, changing_mib = sys.argv[1:]
    equal = held(Path(data_file).read_bytes())
    unique = held(os.urandom(int(unique_mib) << 20))
    changing = mmap.mmap(-1, int(changing_mib) << 20, flags=PRIVATE)
    print("ready", len(equal) + len(unique), flush=True)
    number = os.getpid()
    while True:
        number += 1
        for place in range(0, len(changing), PAGE_BYTES):
            changing[place : place + 8] = number.to_bytes(8, "little")
        time.sleep(1)


if __name__ == "__main__":
    main()
