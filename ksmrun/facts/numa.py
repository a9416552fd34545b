"""Memory nodes of this host, and where the memory of a process is."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from ksmrun.facts.ksm import FOLDER
from ksmrun.facts.text import parse_int, read_int, read_or_raise, read_text
from ksmrun.model.numa import NodeUse, NumaHost, NumaNode
from ksmrun.support.foreign import raise_shortage
from ksmrun.support.nodelist import parse_nodes

NODES = Path("sys/devices/system/node")
# vm.max_map_count allows more; one that has more is not read to its end.
LINES_MAX = 1 << 20


def read_numa_host(root: Path = Path("/")) -> NumaHost | None:
    """Return the nodes; None on a kernel without NUMA."""
    listed = parse_nodes((read_text(root / NODES / "has_memory") or "").strip())
    if not listed:
        return None
    nodes = tuple(_node(root / NODES / f"node{number}", number) for number in sorted(listed))
    return NumaHost(nodes, read_int(root / FOLDER / "merge_across_nodes"))


def _node(folder: Path, number: int) -> NumaNode:
    found = re.search(r"MemTotal:\s*(\d+) kB", read_text(folder / "meminfo") or "")
    cpus = (read_text(folder / "cpulist") or "").strip()
    return NumaNode(number, int(found[1]) * 1024 if found else 0, cpus)


def read_node_use(folder: Path) -> NodeUse:
    """Return where a process has its anonymous memory, of its folder in /proc.

    A file's private copies count only where a mapping has nothing else (proc(5): numa_maps does not
    tell them apart). Raises OSError if it is gone or may not be read.
    """
    sums: dict[int, int] = {}
    try:
        with (folder / "numa_maps").open("rb") as lines:
            for number, line in enumerate(lines):
                if number >= LINES_MAX:
                    raise OSError(errno.E2BIG, "it has too many mappings", str(folder))
                _add(line.decode("ascii", "replace").split()[2:], sums)
    except OSError as error:
        raise_shortage(error)
        raise
    return NodeUse(tuple(sorted(sums.items())), _allowed(folder))


def _add(words: list[str], sums: dict[int, int]) -> None:
    values = dict(word.partition("=")[::2] for word in words)
    anonymous = parse_int(values.get("anon", ""))
    page_kib = parse_int(values.get("kernelpagesize_kB", "")) or 4
    pages = {
        int(name[1:]): count
        for name, value in values.items()
        if re.fullmatch(r"N\d{1,4}", name) and (count := parse_int(value)) is not None
    }
    if anonymous and ("file" not in values or anonymous == sum(pages.values())):
        for node, count in pages.items():
            sums[node] = sums.get(node, 0) + count * page_kib * 1024


def _allowed(folder: Path) -> frozenset[int] | None:
    status = read_or_raise(folder / "status") or ""
    found = re.search(r"^Mems_allowed_list:\t(.*)$", status, re.MULTILINE)
    return parse_nodes(found[1]) if found else None
