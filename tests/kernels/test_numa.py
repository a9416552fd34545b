"""Two domains on one memory node each, in a guest that has two: their equal pages do not meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmrun.facts.numa import read_node_use

from .initrd import build_numa_initrd
from .kernels import CLOUD_AMD64, fetch
from .matrix import MEMORY, QEMU_OPTIONS, QEMU_X86, run_guest

PAGES = 4 << 20 >> 12
# The loader's and libc's own pages differ, or are few.
FEW = 64
HALF = MEMORY // 2
TWO_NODES = ["-smp", "2"]
for node in (0, 1):
    TWO_NODES += ["-object", f"memory-backend-ram,id=node{node},size={HALF}M"]
    TWO_NODES += ["-numa", f"node,memdev=node{node},cpus={node}"]


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    name, vmlinuz = fetch("6.12", CLOUD_AMD64)
    initrd = build_numa_initrd(tmp_path_factory.mktemp("numa"))
    line = "console=ttyS0 panic=-1 quiet no_timer_check rdinit=/init"
    files = ["-kernel", str(vmlinuz), "-initrd", str(initrd), "-append", line]
    return run_guest(name, [*QEMU_X86, *QEMU_OPTIONS, *TWO_NODES, *files])


def merged(values: dict[str, str], across: int, name: str) -> int:
    return int(values[f"merged_{across}_{name}"])


def test_equal_pages_of_two_nodes_do_not_merge(values: dict[str, str]) -> None:
    """And within one node they do."""
    assert values["nodes"] == "0-1"
    assert merged(values, 0, "first") < FEW and merged(values, 0, "second") < FEW
    assert merged(values, 0, "alone") >= PAGES


def test_they_merge_across_nodes(values: dict[str, str]) -> None:
    """With the kernel's default the binding alone keeps nothing apart."""
    for name in ("first", "second", "alone"):
        assert merged(values, 1, name) >= PAGES


@pytest.mark.parametrize(("name", "node"), [("first", 0), ("second", 1)])
def test_the_live_check_reads_this_kernel(
    values: dict[str, str], tmp_path: Path, name: str, node: int
) -> None:
    """The memory of each is where its cpuset allows it."""
    maps = values[f"numa_maps_{name}"].replace("|", "\n").replace(":", "=")
    (tmp_path / "numa_maps").write_text(maps)
    (tmp_path / "status").write_text(f"{values[f'status_{name}']}\n")
    use = read_node_use(tmp_path)
    assert use.allowed == frozenset((node,)) and {where for where, _ in use.bytes_by_node} == {node}
    assert use.total_bytes >= PAGES * 4096
