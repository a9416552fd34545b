"""Memory nodes of a host (NUMA), and the nodes that a process has its memory on."""

from __future__ import annotations

from ksmrun.model.frozen import dataclass
from ksmrun.model.trust import Member


@dataclass(frozen=True)
class NumaNode:
    """One node with memory. cpus: its CPUs as sysfs lists them, "" for none."""

    number: int
    total_bytes: int
    cpus: str


@dataclass(frozen=True)
class NumaHost:
    """Nodes with memory, and KSM's merge_across_nodes; None where the kernel has no such file."""

    nodes: tuple[NumaNode, ...]
    merge_across_nodes: int | None

    @property
    def numbers(self) -> frozenset[int]:
        """Numbers of the nodes."""
        return frozenset(node.number for node in self.nodes)


@dataclass(frozen=True)
class NodeUse:
    """Memory of a process by node, and the nodes that it may use; None where they are unknown.

    bytes_by_node: anonymous memory, which alone merges. allowed: by its cpuset.
    """

    bytes_by_node: tuple[tuple[int, int], ...]
    allowed: frozenset[int] | None

    @property
    def total_bytes(self) -> int:
        """Memory on all nodes."""
        return sum(size for _, size in self.bytes_by_node)


@dataclass(frozen=True)
class PlacedMember:
    """Merging process with the domains that it is in, and its memory; use is None if unreadable."""

    member: Member
    use: NodeUse | None
