"""Keep trust domains apart that merge on one host: each on memory nodes of its own. Pure.

With merge_across_nodes=0 KSM has one stable and one unstable tree a node, and compares a page only
with those of the node that it is on (mm/ksm.c: get_kpfn_nid(), stable_tree_search()).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from ksmrun.model.errors import KsmrunError
from ksmrun.model.frozen import dataclass
from ksmrun.model.numa import NumaHost, PlacedMember
from ksmrun.model.trust import Domain, Trust
from ksmrun.support.nodelist import node_list, parse_nodes
from ksmrun.support.units import MIB

ONE_NODE = "use another host, or let one domain merge at a time: ksmrun help trust"


@dataclass(frozen=True)
class Binding:
    """A domain's nodes. is_given: by the trust file. used_bytes: by its merging programs now."""

    domain: str
    nodes: frozenset[int]
    is_given: bool
    used_bytes: int
    room_bytes: int


def bindings(
    trust: Trust, host: NumaHost | None, members: Sequence[PlacedMember]
) -> tuple[Binding, ...]:
    """Return each domain's nodes: those of the file, else one that no other domain has.

    The largest domain chooses first, and takes the largest node. A domain without a node is one too
    many. Raises KsmrunError where nothing can be kept apart.
    """
    if host is None or len(host.nodes) < 2:
        count = "no NUMA" if host is None else "one memory node"
        raise KsmrunError(
            f"domains cannot be kept apart by memory nodes: this host has {count}", ONE_NODE
        )
    given = {each.name: _given(each) for each in trust.domains}
    free = host.numbers.difference(*(nodes or frozenset() for nodes in given.values()))
    sizes = {node.number: node.total_bytes for node in host.nodes}
    used = {name: _used_bytes(name, members) for name in given}
    for name in sorted(given, key=lambda each: (-used[each], each)):
        if given[name] is None and free:
            largest = max(free, key=lambda node: (sizes[node], -node))
            given[name], free = frozenset((largest,)), free - {largest}
    return tuple(
        Binding(
            each.name,
            given[each.name] or frozenset(),
            each.nodes is not None,
            used[each.name],
            sum(sizes.get(node, 0) for node in given[each.name] or ()),
        )
        for each in trust.domains
    )


def _given(domain: Domain) -> frozenset[int] | None:
    return None if domain.nodes is None else parse_nodes(domain.nodes)


def _used_bytes(domain: str, members: Sequence[PlacedMember]) -> int:
    uses = [each.use for each in members if each.member.domain == domain]
    return sum(use.total_bytes for use in uses if use is not None)


def obstacles(host: NumaHost, bound: Sequence[Binding]) -> Iterator[tuple[str, str]]:
    """Yield what keeps the plan itself from holding, and what to do."""
    known = host.numbers
    for binding in bound:
        name = binding.domain
        if not binding.nodes:
            yield (
                f"{name} has no node: {len(bound)} domains, and this host has {len(known)} nodes",
                "put it on another host, or combine domains that may know each other's memory",
            )
        if missing := binding.nodes - known:
            yield f"{name} names node {node_list(missing)}, which has no memory", "correct the file"
        if binding.nodes and not missing and binding.used_bytes > binding.room_bytes:
            yield (
                f"{name} has {binding.used_bytes / MIB:.0f} MiB merging now, and its nodes have "
                f"{binding.room_bytes / MIB:.0f} MiB in all",
                "give it more nodes in the file, or move some of it to another host",
            )
        for other in bound:
            if other.domain > name and (shared := binding.nodes & other.nodes):
                yield (
                    f"{name} and {other.domain} share node {node_list(shared)}, where their pages "
                    "merge",
                    "give each nodes of its own in the file",
                )


def exposures(
    host: NumaHost, bound: Sequence[Binding], members: Sequence[PlacedMember]
) -> Iterator[tuple[str, str]]:
    """Yield what lets pages of two domains meet now, and what to do: the live check."""
    if host.merge_across_nodes != 0:
        what = "pages merge across nodes (merge_across_nodes=1)"
        if host.merge_across_nodes is None:
            what = "this kernel has no merge_across_nodes"
        yield what, "sudo ksmrun host set --unmerge merge_across_nodes=0"
    nodes = {each.domain: each.nodes for each in bound}
    for placed in members:
        merger, use = placed.member.merger, placed.use
        name = f"PID {merger.pid} ({merger.name})"
        domain = placed.member.domain
        if placed.member.is_exempt:
            continue
        own = nodes.get(domain or "")
        if domain is None or own is None:
            yield f"{name} merges, and is in no domain or in several", "see: sudo ksmrun trust show"
        elif use is None or use.allowed is None:
            yield f"{name} of {domain} cannot be examined", "run this as root, or restart it"
        elif outside := [node for node, size in use.bytes_by_node if size and node not in own]:
            size = sum(size for node, size in use.bytes_by_node if node in outside)
            yield (
                f"{name} of {domain} has {size / MIB:.0f} MiB on node {node_list(outside)}, which "
                "is not its domain's",
                "bind it as below; if that does not move its memory, restart it",
            )
        elif not use.allowed <= own:
            yield (
                f"{name} of {domain} is not bound: it may use node {node_list(use.allowed)}",
                "bind it as below",
            )


def costs(bound: Sequence[Binding]) -> Iterator[str]:
    """Yield what the binding costs."""
    for each in bound:
        if each.nodes:
            yield (
                f"{each.domain}: {each.room_bytes / MIB:.0f} MiB of memory at most (node "
                f"{node_list(each.nodes)}); at that limit it swaps or is killed, whatever is free "
                "elsewhere"
            )
    yield "pages that are equal on several nodes are kept once per node"
    yield "away from the CPUs of its nodes a program reads its memory more slowly"


def steps(
    trust: Trust, host: NumaHost, bound: Sequence[Binding], members: Sequence[PlacedMember]
) -> Iterator[str]:
    """Yield the commands, in their order: what has merged is not moved, so it is unmerged first."""
    cpus = {node.number: node.cpus for node in host.nodes}
    yield "sudo ksmrun host unmerge"
    domains = {each.name: each for each in trust.domains}
    for binding in bound:
        if not binding.nodes:
            continue
        near = ",".join(cpus[node] for node in sorted(binding.nodes) if cpus.get(node))
        memory = node_list(binding.nodes)
        for unit in _units(domains[binding.domain], members):
            words = f"sudo systemctl set-property {shlex.quote(unit)} AllowedMemoryNodes={memory}"
            yield f"{words} AllowedCPUs={near}" if near else words
        for engine, container in _containers(binding.domain, members):
            words = f"{engine} update --cpuset-mems={memory}"
            yield f"{words} --cpuset-cpus={near} {container}" if near else f"{words} {container}"
    yield "sudo ksmrun host set merge_across_nodes=0"
    yield "sudo ksmrun host on"


def _units(domain: Domain, members: Sequence[PlacedMember]) -> list[str]:
    """Return the units to bind: named in the file, or those of its processes that merge."""
    of_file = {unit for unit in domain.rules.units if not set(unit) & set("*?[")}
    traits = [each.member.merger.traits for each in members if each.member.domain == domain.name]
    running = {
        each.units[-1]
        for each in traits
        if each.units and each.container is None and not of_file & set(each.units)
    }
    return sorted(of_file | running)


def _containers(domain: str, members: Sequence[PlacedMember]) -> list[tuple[str, str]]:
    traits = [each.member.merger.traits for each in members if each.member.domain == domain]
    found = {
        (each.container.runtime, each.container.id[:12])
        for each in traits
        if each.container is not None and each.container.runtime in ("docker", "podman")
    }
    return sorted((runtime, number) for runtime, number in found if runtime is not None)
