"""Unpack the tiles of a DDNet map: a world of bytes, as game servers hold it.

python3 world.py MAP FILE
"""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

# Teeworlds' data file, version 4: counts, then tables of offsets, items, packed data.
HEADER = struct.Struct("<4s8i")
LAYER, TILES = 5, 2


def tiles(data: bytes) -> bytes:
    """Return all tile layers of the map, one after the other; four bytes per tile."""
    magic, version, _, _, types, items, raws, items_bytes, _ = HEADER.unpack_from(data)
    if magic != b"DATA" or version != 4:
        raise SystemExit(f"world.py: not a map of version 4 (magic {magic!r}, version {version})")
    place = HEADER.size + 12 * types
    numbers = struct.unpack_from(f"<{items + 2 * raws}i", data, place)
    item_places, raw_places = numbers[:items], numbers[items : items + raws]
    place += 4 * len(numbers)
    layers = []
    for item in item_places:
        kind, size_bytes = struct.unpack_from("<2I", data, place + item)
        fields = struct.unpack_from(f"<{size_bytes // 4}i", data, place + item + 8)
        if kind >> 16 == LAYER and fields[1] == TILES:
            width, height, raw = fields[4], fields[5], fields[14]
            layer = zlib.decompress(data[place + items_bytes + raw_places[raw] :])
            assert len(layer) == 4 * width * height
            layers.append(layer)
    return b"".join(layers)


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(tiles(Path(sys.argv[1]).read_bytes()))
