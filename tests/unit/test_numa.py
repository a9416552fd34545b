"""Domains on memory nodes: the plan, the live check, and the reader of numa_maps."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.facts.numa import read_node_use, read_numa_host
from ksmrun.model.errors import KsmrunError
from ksmrun.model.numa import NodeUse, NumaHost, NumaNode, PlacedMember
from ksmrun.model.trust import ContainerTraits, Domain, Member, Merger, Rules, Traits, Trust
from ksmrun.plan.numa import Binding, bindings, costs, exposures, obstacles, steps
from ksmrun.support.nodelist import node_list, parse_nodes

GIB = 1 << 30
NODES = (NumaNode(0, 8 * GIB, "0-3"), NumaNode(1, 16 * GIB, "4-7"))
HOST = NumaHost(NODES, merge_across_nodes=0)
NUMA_MAPS = """\
5581c0000000 default file=/usr/bin/a mapped=20 active=0 N0=9 N1=11 kernelpagesize_kB=4
5581c0020000 default file=/usr/bin/a anon=2 dirty=2 N0=2 kernelpagesize_kB=4
5581c0030000 default file=/usr/bin/a anon=2 dirty=2 mapped=9 N0=4 N1=5 kernelpagesize_kB=4
5581c1000000 default heap anon=700 dirty=700 N0=500 N1=200 kernelpagesize_kB=4
7f0000000000 default anon=3 dirty=3 N1=3 kernelpagesize_kB=2048
7f1000000000 default file=/a\\040anon=5\\040N0=99 mapped=4 N0=4 kernelpagesize_kB=4
7ffc00000000 default stack anon=3 dirty=3 N1=3 kernelpagesize_kB=4
7ffc00100000 default
"""


def domain(name: str, nodes: str | None = None, *units: str) -> Domain:
    return Domain(name, Rules(units=units or (f"{name}.slice",)), nodes)


def placed(
    name: str,
    by_node: dict[int, int],
    allowed: set[int] | None = None,
    container: ContainerTraits | None = None,
) -> PlacedMember:
    traits = Traits(units=(f"{name}.slice",), uids=(1, 1, 1), container=container)
    merger = Merger(100 + len(name), 7, f"{name}d", traits, "prctl")
    use = NodeUse(tuple(by_node.items()), frozenset(allowed if allowed is not None else {0, 1}))
    return PlacedMember(Member(merger, (name,)), use)


@given(st.frozensets(st.integers(0, 1023)))
def test_lists_of_nodes(nodes: frozenset[int]) -> None:
    text = node_list(nodes)
    assert parse_nodes(text) == (nodes or None)


@pytest.mark.parametrize("text", ["", "1-", "-1", "2-1", "1,,2", "a", "1 2", "1024", "0-9999"])
def test_what_is_no_list(text: str) -> None:
    assert parse_nodes(text) is None


def test_anonymous_memory_by_node(tmp_path: Path) -> None:
    """Files' pages do not count; a path that looks like a field is a path."""
    (tmp_path / "numa_maps").write_text(NUMA_MAPS)
    (tmp_path / "status").write_text("Name:\ta\nMems_allowed:\t3\nMems_allowed_list:\t0-1\n")
    use = read_node_use(tmp_path)
    assert dict(use.bytes_by_node) == {0: 502 * 4096, 1: 203 * 4096 + 3 * (2 << 20)}
    assert use.allowed == frozenset((0, 1))
    with pytest.raises(FileNotFoundError):
        read_node_use(tmp_path / "none")


def test_a_host(tmp_path: Path) -> None:
    assert read_numa_host(tmp_path) is None
    nodes, ksm = tmp_path / "sys/devices/system/node", tmp_path / "sys/kernel/mm/ksm"
    ksm.mkdir(parents=True)
    (ksm / "merge_across_nodes").write_text("1\n")
    for number in (0, 2):
        (nodes / f"node{number}").mkdir(parents=True)
        (nodes / f"node{number}/meminfo").write_text(f"Node {number} MemTotal:   1024 kB\n")
        (nodes / f"node{number}/cpulist").write_text("0-3\n")
    (nodes / "has_memory").write_text("0,2\n")
    found = read_numa_host(tmp_path)
    assert found == NumaHost((NumaNode(0, 1 << 20, "0-3"), NumaNode(2, 1 << 20, "0-3")), 1)


@pytest.mark.parametrize("host", [None, NumaHost(NODES[:1], 0)])
def test_it_cannot_be_had_on_one_node(host: NumaHost | None) -> None:
    with pytest.raises(KsmrunError, match="cannot be kept apart by memory nodes"):
        bindings(Trust((domain("a"), domain("b"))), host, ())


def test_who_holds_more_gets_the_larger_node() -> None:
    trust = Trust((domain("web"), domain("shop")))
    members = [placed("web", {0: GIB}), placed("shop", {0: 2 * GIB, 1: GIB})]
    web, shop = bindings(trust, HOST, members)
    assert (web.nodes, shop.nodes) == (frozenset((0,)), frozenset((1,)))
    assert (web.used_bytes, shop.used_bytes) == (GIB, 3 * GIB)
    assert list(obstacles(HOST, (web, shop))) == []
    lines = list(steps(trust, HOST, (web, shop), members))
    assert lines[0] == "sudo ksmrun host unmerge" and lines[-1] == "sudo ksmrun host on"
    assert lines[-2] == "sudo ksmrun host set merge_across_nodes=0"
    assert (
        "sudo systemctl set-property shop.slice AllowedMemoryNodes=1 AllowedCPUs=4-7" in lines[1:3]
    )
    assert any("16384 MiB" in line for line in costs((web, shop)))


def test_the_file_has_the_first_word() -> None:
    trust = Trust((domain("web", "1"), domain("shop")))
    web, shop = bindings(trust, HOST, [placed("shop", {1: GIB})])
    assert (web.nodes, shop.nodes) == (frozenset((1,)), frozenset((0,)))
    assert web.is_given and not shop.is_given


@pytest.mark.parametrize(
    ("domains", "said"),
    [
        ((domain("a", "0"), domain("b", "0-1")), "a and b share node 0"),
        ((domain("a", "0"), domain("b", "3")), "b names node 3, which has no memory"),
        ((domain("a"), domain("b"), domain("c")), "c has no node: 3 domains"),
    ],
)
def test_plans_that_do_not_hold(domains: tuple[Domain, ...], said: str) -> None:
    bound = bindings(Trust(domains), HOST, ())
    assert any(said in what for what, _ in obstacles(HOST, bound))


def test_more_than_its_nodes_have() -> None:
    bound = bindings(Trust((domain("a", "0"), domain("b"))), HOST, [placed("a", {0: 9 * GIB})])
    assert any("a has 9216 MiB merging now" in what for what, _ in obstacles(HOST, bound))


BOUND = (
    Binding("web", frozenset({0}), True, 0, 8 * GIB),
    Binding("shop", frozenset({1}), True, 0, 16 * GIB),
)


@pytest.mark.parametrize(
    ("host", "member", "said"),
    [
        (HOST, placed("web", {0: GIB}, {0}), None),
        (HOST, placed("shop", {0: 0, 1: GIB}, {1}), None),
        (NumaHost(NODES, 1), placed("web", {0: GIB}, {0}), "merge across nodes"),
        (NumaHost(NODES, None), placed("web", {0: GIB}, {0}), "has no merge_across_nodes"),
        (HOST, placed("web", {0: GIB, 1: 4 << 20}, {0}), "4 MiB on node 1"),
        (HOST, placed("web", {0: GIB}, {0, 1}), "is not bound: it may use node 0-1"),
        (HOST, placed("other", {0: GIB}, {0}), "in no domain or in several"),
        (HOST, PlacedMember(placed("web", {}).member, None), "cannot be examined"),
    ],
)
def test_the_live_check(host: NumaHost, member: PlacedMember, said: str | None) -> None:
    found = [what for what, _ in exposures(host, BOUND, [member])]
    assert len(found) == (said is not None)
    assert said is None or said in found[0]


@given(
    st.lists(st.sampled_from([None, "0", "1", "0-1", "2", "3"]), min_size=1, max_size=4),
    st.integers(2, 4),
)
def test_without_an_obstacle_no_two_domains_share_a_node(
    wanted: list[str | None], count: int
) -> None:
    host = NumaHost(tuple(NumaNode(number, GIB, "") for number in range(count)), 0)
    trust = Trust(tuple(domain(f"d{i}", nodes) for i, nodes in enumerate(wanted)))
    bound = bindings(trust, host, ())
    if not list(obstacles(host, bound)):
        nodes = [node for each in bound for node in each.nodes]
        assert len(nodes) == len(set(nodes)) and set(nodes) <= host.numbers
        assert all(each.nodes for each in bound)


def test_containers_are_bound_by_their_engine() -> None:
    container = ContainerTraits("docker", "0123456789abcdef", "redis", (), None, True)
    trust = Trust((Domain("web", Rules(units=("web-*.service",)), "0"), domain("shop", "1")))
    member = placed("web", {0: GIB}, {0}, container=container)
    lines = list(steps(trust, HOST, bindings(trust, HOST, [member]), [member]))
    assert "docker update --cpuset-mems=0 --cpuset-cpus=0-3 0123456789ab" in lines
