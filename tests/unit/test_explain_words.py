"""Messages of `ksmrun explain`, and when it considers a process converged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ksmrun.model.explain import MemoryKind, ProcessLook, Sampled
from ksmrun.plan.explain import explain, is_settled, scans_seen

from .test_explain import MIB, ON, WHO, kinds, look, names, with_ksm


def with_counters(*, seconds: float = 2, age: float = 3600, **after: Any) -> ProcessLook:
    """Return the change from before to after, of the process and of ksmd (ksm_NAME)."""
    found = look(seconds=seconds, age_seconds=age)
    assert found.after is not None
    of_host = {name[4:]: number for name, number in after.items() if name.startswith("ksm_")}
    rest = {name: number for name, number in after.items() if not name.startswith("ksm_")}
    ksm = replace(found.after.ksm, values={**ON, **of_host})
    return replace(found, after=replace(found.after, ksm=ksm, **rest))


# The message, with figures: of 100 MiB marked, 10 are merged.
@pytest.mark.parametrize(
    ("found", "name", "size_mib", "said", "todo"),
    [
        (look(), "unique data", 90, "90.0 MiB were scanned", "`sudo ksmrun estimate 7`"),
        (look(sampled=Sampled(0, 0)), "unique data", 90, "do not change", "--layout shared"),
        (
            *(look(sampled=Sampled(1000, 400), seconds=2.5), "volatile pages", 40),
            *("40% of 1000 sampled pages changed within 2.5 s", "a program that writes less"),
        ),
        (
            *(look(sampled=Sampled(1000, 400)), "volatile pages", 40),
            *("metadata for 23040 pages that did not", "nothing, or"),
        ),
        (
            *(kinds(shared=MemoryKind(vmas=3, rss_bytes=200 * MIB)), "shared memory", 200),
            *("200.0 MiB in 3 maps of shared memory", "nothing, unless"),
        ),
        (
            *(kinds(hugetlb=MemoryKind(size_bytes=64 * MIB)), "hugetlb pages", 64),
            *("64.0 MiB of maps of hugetlbfs", "ordinary pages"),
        ),
        (
            *(kinds(anonymous=MemoryKind(swap_bytes=50 * MIB)), "swap", 50),
            *("50.0 MiB are in swap", "free memory, or swapoff"),
        ),
        (
            *(kinds(anonymous=MemoryKind(marked_huge_bytes=50 * MIB)), "huge pages", 50),
            *("50.0 MiB are in huge pages", "ksmrun run --thp=off"),
        ),
        (
            *(kinds(anonymous=MemoryKind(anonymous_bytes=50 * MIB)), "not marked", 50),
            *("50.0 of 150.0 MiB of anonymous", "nothing: the kernel excludes such maps"),
        ),
        (
            *(replace(kinds(x=MemoryKind(anonymous_bytes=50 * MIB)), enabled_by="madvise"),),
            *("not marked", 50, "that are not marked", "start it with `ksmrun run`, which marks"),
        ),
        (with_ksm(run=2), "ksmd unmerges", None, "unmerges what it merged", "ksmrun host on"),
        (
            *(with_ksm(run=0), "ksmd off", None),
            *("does not scan (run=0; ", "sudo ksmrun host on"),
        ),
        (with_ksm(run=0), "ksmd off", None, "10.0 MiB stay merged until", "host on"),
        (
            *(with_ksm(pages_to_scan=0), "ksmd off", None),
            *("scans nothing (pages_to_scan=0)", "host set pages_to_scan=100"),
        ),
        (
            *(replace(with_ksm(merge_across_nodes=0), numa_nodes=2), "NUMA", None),
            *("different ones of 2 memory nodes", "host set merge_across_nodes=1"),
        ),
        (
            *(with_counters(ksm_full_scans=102, rmap_items=0), "never scanned", 100),
            *("looked at 0 of 25600 marked pages; full scans in 2 s: 2", "boot 6.12 or later"),
        ),
        (
            *(with_counters(ksm_full_scans=101, rmap_items=0), "not settled", 100),
            *("full scans in 2 s: 1, merged pages: +0", "host set pages_to_scan=N"),
        ),
        (
            *(with_counters(rmap_items=12_800, merging_pages=2570), "not settled", 90 - 10 / 256),
            *(
                "looked at 12800 of 25600 marked pages; full scans in 2 s: 0, merged pages: +10",
                "wait, or raise",
            ),
        ),
        (
            *(with_counters(ksm_full_scans=2, ksm_pages_shared=1_000_000), "not settled", 90),
            *("marked pages; a page merges in the second full scan", "wait, or raise"),
        ),
    ],
)
def test_what_is_said(
    found: ProcessLook, name: str, size_mib: float | None, said: str, todo: str
) -> None:
    (cause,) = [cause for cause in explain(found) if cause.name == name]
    assert cause.size_bytes == (None if size_mib is None else size_mib * MIB)
    assert f" {said}" in f" {cause.found}" and todo in cause.todo


@given(
    sizes=st.lists(st.integers(0, 40 * MIB), min_size=4, max_size=4),
    rss=st.integers(0, 400 * MIB),
)
@example(sizes=[MIB, MIB - 1, 0, 0], rss=0)
def test_the_largest_parts_come_first_and_small_ones_not_at_all(sizes: list[int], rss: int) -> None:
    shared, hugetlb, swap, huge = sizes
    found = look(
        kinds={
            "shared": MemoryKind(rss_bytes=shared),
            "hugetlb": MemoryKind(size_bytes=hugetlb),
            "heap": MemoryKind(rss_bytes=rss, swap_bytes=swap, marked_huge_bytes=huge),
        }
    )
    shown = [cause.size_bytes for cause in explain(found)]
    least = max(MIB, 0.05 * (rss + shared))
    assert shown == sorted((size for size in sizes if size >= least), reverse=True)


def test_how_long_a_pass_takes() -> None:
    """For all pages that ksmd knows, at 50,000 pages a second."""
    names = ("pages_shared", "pages_sharing", "pages_unshared", "pages_volatile")
    for name in names:
        (cause,) = explain(with_ksm(full_scans=1, **{name: 10**6}))
        assert "takes at least 20 s" in cause.found, name
    (cause,) = explain(with_ksm(full_scans=1, **dict.fromkeys(names, 10**6)))
    assert "takes at least 80 s" in cause.found
    (cause,) = explain(with_ksm(full_scans=1))
    assert "takes at least 0.0 s" in cause.found
    (cause,) = explain(with_ksm(full_scans=1, sleep_millisecs="x", pages_shared=10**6))
    assert "takes at least 0.0 s" in cause.found, "the rate is not known"


@pytest.mark.parametrize(
    ("found", "settled"),
    [
        # Three full scans were seen, or it is older than three scans take (3.0 s here).
        (with_counters(ksm_full_scans=103), True),
        (with_counters(ksm_full_scans=102, ksm_pages_shared=10**9), False),
        (with_counters(ksm_full_scans=103, ksm_pages_shared=10**9), True),
        (with_counters(age=3, ksm_pages_shared=50_000), True),
        (with_counters(age=2.9, ksm_pages_shared=50_000), False),
        (with_counters(ksm_full_scans=3), True),
        (with_counters(ksm_full_scans=2), False),
        # A little always merges.
        (with_counters(ksm_full_scans=103, merging_pages=2586), True),
        (with_counters(ksm_full_scans=103, merging_pages=2587), False),
        (with_counters(merging_pages=2561), False),
        # 95% has been scanned.
        (with_counters(rmap_items=24_320), True),
        (with_counters(rmap_items=24_319), False),
    ],
)
def test_when_it_has_settled(found: ProcessLook, settled: bool) -> None:
    assert ("not settled" not in names(found)) == settled


def test_records_of_zeros_are_not_of_what_is_marked() -> None:
    """The kernel keeps some records for pages that its zero page has replaced."""
    for zeros, settled in ((10, True), (11, False)):
        found = with_counters(rmap_items=24_330, zero_pages=zeros)
        assert ("not settled" not in names(replace(found, before=found.after))) == settled


def test_a_process_without_marked_memory_has_settled() -> None:
    found = look(kinds={})
    assert found.before is not None and found.after is not None
    assert is_settled(found, found.before, found.after)


def test_a_little_may_merge_in_three_passes() -> None:
    for more, settled in ((2, True), (3, False)):
        found = with_counters(ksm_full_scans=103, merging_pages=100 + more)
        assert found.before is not None and found.after is not None
        before = replace(found.before, merging_pages=100)
        assert is_settled(found, before, found.after) == settled


@pytest.mark.parametrize(
    ("first", "last", "seen"),
    [(100, 103, 3), (100, 100, 0), (100, 2, None), ("x", 3, None), (3, "x", None)],
)
def test_scans_that_were_seen(first: int | str, last: int | str, seen: int | None) -> None:
    counters = [with_ksm(full_scans=number).after for number in (first, last)]
    assert counters[0] is not None and counters[1] is not None
    assert scans_seen(counters[0], counters[1]) == seen


def test_figures_of_a_sample() -> None:
    """One of three pages: there are no fractions of bytes."""
    found = {cause.name: cause for cause in explain(look(sampled=Sampled(3, 1)))}
    assert str(found["volatile pages"].size_bytes) == str(100 * MIB // 3)
    for sampled in (None, Sampled(0, 0)):
        (cause,) = explain(look(sampled=sampled))
        assert cause.size_bytes == 90 * MIB
    (cause,) = explain(with_counters(merging_pages=None))
    assert cause.size_bytes == 100 * MIB, "nothing, as far as this kernel tells"
    nothing = with_counters(merging_pages=0, rmap_items=0)
    (volatile, _) = explain(replace(nothing, sampled=Sampled(2, 2)))
    assert "metadata for 0 pages" in volatile.found


@pytest.mark.parametrize(
    ("nodes", "across", "apart"), [(2, 0, True), (2, 1, False), (1, 0, False), (None, 0, False)]
)
def test_memory_nodes(nodes: int | None, across: int, apart: bool) -> None:
    found = replace(with_ksm(merge_across_nodes=across), numa_nodes=nodes)
    assert ("NUMA" in names(found)) == apart


def test_smart_scan() -> None:
    def skipped(smart: int, first: int | str, last: int | str) -> ProcessLook:
        found = with_ksm(smart_scan=smart)
        assert found.before is not None and found.after is not None
        counters = [
            replace(
                each, ksm=replace(each.ksm, values={**each.ksm.values, "pages_skipped": number})
            )
            for each, number in ((found.before, first), (found.after, last))
        ]
        return replace(found, before=counters[0], after=counters[1])

    cause = explain(skipped(1, 10, 15))[-1]
    assert (cause.name, cause.size_bytes) == ("smart scan", 90 * MIB)
    assert "skipped 5 pages" in cause.found and "set smart_scan=0" in cause.todo
    for each in (
        skipped(0, 10, 15),
        skipped(1, 10, 10),
        skipped(1, "x", 15),
        skipped(1, 10, "x"),
    ):
        assert names(each) == ["unique data"]


def test_what_may_not_be_read() -> None:
    for user, who in (
        (None, "its owner and root"),
        ("web", "web and root"),
        ("root", "only root can read"),
    ):
        found = look(before=None, identity=replace(WHO, user=user))
        (cause,) = explain(found)
        assert (cause.name, cause.size_bytes) == ("permission", None)
        assert who in cause.found and cause.todo == "sudo ksmrun explain 7, on the host"
    assert names(look(after=None)) == ["permission"]


@pytest.mark.parametrize("engine", ["docker", "podman", "containerd", "cri-o"])
def test_a_container_gets_the_flag_by_its_runtime(engine: str) -> None:
    (cause,) = explain(look(enabled_by=None, identity=replace(WHO, engine=engine)))
    assert cause.todo.endswith(f"`ksmrun wrap runtime {engine}`")
    assert cause.size_bytes is None
