"""Lists of memory nodes, as the kernel and cpuset(7) write them."""

from __future__ import annotations

import re
from collections.abc import Iterable

# include/linux/nodemask.h: MAX_NUMNODES is 1 << 10 at most.
NUMBER_MAX = 1 << 10
LIST = re.compile(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*")


def parse_nodes(text: str) -> frozenset[int] | None:
    """Return the numbers of a list such as "0-1,4"; None if it is none."""
    if LIST.fullmatch(text) is None:
        return None
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not int(first) <= int(last or first) < NUMBER_MAX:
            return None
        found |= set(range(int(first), int(last or first) + 1))
    return frozenset(found)


def node_list(nodes: Iterable[int]) -> str:
    """Return them as such a list."""
    parts: list[list[int]] = []
    for node in sorted(nodes):
        if parts and parts[-1][-1] == node - 1:
            parts[-1].append(node)
        else:
            parts.append([node])
    return ",".join(f"{each[0]}-{each[-1]}" if len(each) > 1 else f"{each[0]}" for each in parts)
