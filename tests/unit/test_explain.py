"""Causes that this host cannot bring about, and smaps of other kernels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.facts.smaps import by_kind, read_vmas
from ksmrun.model import KsmFacts
from ksmrun.model.explain import Counters, MemoryKind, ProcessLook, Sampled
from ksmrun.model.process import Identity
from ksmrun.plan.explain import explain

MIB = 1 << 20
WHO = Identity(
    *(7, 1, "web", "web", "/bin/web", 0, "root", None, None, None, None, None),
)
ON = {"run": 1, "pages_to_scan": 1000, "sleep_millisecs": 20, "full_scans": 100}
# 6.1 has neither "KSM:" nor "Pss_Dirty:".
SMAPS = """\
55d0c0000000-55d0c0002000 r--p 00000000 fe:00 260131                     /usr/bin/a b
Rss:                   8 kB
Anonymous:             0 kB
AnonHugePages:         0 kB
Swap:                  0 kB
VmFlags: rd mr mw me
55d0c1000000-55d0c1200000 rw-p 00000000 00:00 0                          [heap]
Rss:                2048 kB
Anonymous:          2048 kB
{ksm}AnonHugePages:      2048 kB
Swap:                  4 kB
VmFlags: rd wr mr mw me ac mg hg
7f0000000000-7f0000100000 rw-s 00000000 00:01 5                          /memfd:x (deleted)
Rss:                1024 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd wr sh mr mw me ms
7f0000200000-7f0000400000 rw-p 00000000 00:00 0
Rss:                1024 kB
Anonymous:          1024 kB
Swap:                  0 kB
VmFlags: rd wr mr mw me ac
7f0000400000-7f0000600000 rw-p 00000000 00:0f 0                          /anon_hugepage (deleted)
Rss:                   0 kB
VmFlags: rd wr mr mw me de ht
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
Rss:                   8 kB
Anonymous:             8 kB
VmFlags: rd wr mr mw me gd ac
7ffc00100000-7ffc00102000 r-xp 00000000 00:00 0                          [vdso]
VmFlags: rd ex mr mw me de
"""


def look(**changes: object) -> ProcessLook:
    """A process of 100 MiB that is merged by a tenth, on a host where all is as it should be."""
    ksm = KsmFacts(present=True, page_bytes=4096, values=dict(ON))
    counters = Counters(2560, 0, 25600, 8 * MIB, ksm)
    memory = MemoryKind(
        vmas=9, rss_bytes=100 * MIB, anonymous_bytes=100 * MIB, marked_bytes=100 * MIB
    )
    found = ProcessLook(
        identity=WHO,
        age_seconds=3600,
        seconds=2,
        enabled_by="prctl",
        kinds={"heap": memory},
        before=counters,
        after=counters,
        sampled=Sampled(1000, 0),
        ksm=ksm,
        numa_nodes=1,
        max_map_count=65530,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def with_ksm(**values: int | str) -> ProcessLook:
    found = look()
    assert found.after is not None
    ksm = KsmFacts(present=True, page_bytes=4096, values={**ON, **values})
    return replace(found, before=found.after, after=replace(found.after, ksm=ksm))


def names(found: ProcessLook, obstacle: tuple[str, str] | None = None) -> list[str]:
    return [cause.name for cause in explain(found, obstacle)]


def kinds(**kinds: MemoryKind) -> ProcessLook:
    return look(kinds={**look().kinds, **kinds})


def test_parts_of_memory_by_their_size() -> None:
    assert names(look()) == ["unique data"]
    assert names(look(sampled=None)) == ["unique data"]
    assert names(look(sampled=Sampled(1000, 700))) == ["volatile pages", "unique data"]
    assert names(kinds(shared=MemoryKind(rss_bytes=200 * MIB))) == ["shared memory", "unique data"]
    assert names(kinds(hugetlb=MemoryKind(size_bytes=64 * MIB)))[1] == "hugetlb pages"
    assert names(kinds(anonymous=MemoryKind(swap_bytes=50 * MIB)))[1] == "swap"
    assert names(kinds(anonymous=MemoryKind(anonymous_bytes=50 * MIB)))[1] == "not marked"
    # Not worth a word.
    assert names(kinds(shared=MemoryKind(rss_bytes=3 * MIB))) == ["unique data"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"run": 0}, ["ksmd off"]),
        ({"run": 2}, ["ksmd unmerges"]),
        ({"pages_to_scan": 0}, ["ksmd off"]),
        ({"full_scans": 101}, ["unique data"]),
        # Reset by run=2, and two passes since.
        ({"full_scans": 2}, ["not settled"]),
        # A pass over so many pages takes longer than this process has lived.
        ({"pages_unshared": 10**9}, ["not settled"]),
        ({"smart_scan": 1}, ["unique data"]),
    ],
)
def test_ksmd(values: dict[str, int], expected: list[str]) -> None:
    assert names(with_ksm(**values)) == expected


def test_what_ksmd_has_not_reached() -> None:
    found = with_ksm(full_scans=103)
    assert found.after is not None
    assert names(replace(found, after=replace(found.after, rmap_items=12_000))) == ["not settled"]
    # Passes went by, and nothing of it was looked at.
    assert names(replace(found, after=replace(found.after, rmap_items=0))) == ["never scanned"]
    # It still merges.
    assert names(replace(found, after=replace(found.after, merging_pages=9000))) == ["not settled"]


def test_no_ksm_and_many_nodes() -> None:
    none = KsmFacts(present=False, page_bytes=4096, values={})
    found = look()
    assert found.after is not None
    assert names(replace(found, after=replace(found.after, ksm=none))) == ["no KSM"]
    found = replace(with_ksm(merge_across_nodes=0), numa_nodes=2)
    assert names(found) == ["NUMA", "unique data"]


@pytest.mark.parametrize(
    ("changes", "todo"),
    [
        ({}, "ksmrun run -- COMMAND"),
        ({"unit": "web.service"}, "wrap unit --now web"),
        ({"unit": "user@1000.service/web.service"}, "ksmrun run -- COMMAND"),
        ({"engine": "podman", "unit": "web.service"}, "wrap runtime podman"),
        ({"engine": "lxc"}, "ksmrun run -- COMMAND"),
    ],
)
def test_how_it_would_get_the_flag(changes: dict[str, str], todo: str) -> None:
    found = look(enabled_by=None, identity=replace(WHO, **changes))  # type: ignore[arg-type]
    (cause,) = explain(found)
    assert cause.name == "flag missing"
    assert todo in cause.todo
    (cause,) = explain(found, ("no such prctl", "boot another"))
    assert "no such prctl" in cause.found
    assert cause.todo == "boot another"


def test_nothing_readable() -> None:
    assert names(look(before=None, after=None, kinds={})) == ["permission"]


@pytest.mark.parametrize(("ksm", "merged"), [("", None), ("KSM:  12 kB\n", 12 << 10)])
def test_smaps(tmp_path: Path, ksm: str, merged: int | None) -> None:
    (tmp_path / "smaps").write_text(SMAPS.format(ksm=ksm))
    found = by_kind(read_vmas(tmp_path))
    order = ["heap", "anonymous", "stack", "shared", "files", "hugetlb", "kernel"]
    assert list(found) == order
    assert found["heap"] == MemoryKind(
        *(1, 2 * MIB, 2 * MIB, 2 * MIB, 2 * MIB, merged, 2 * MIB, 2 * MIB, 4096)
    )
    assert found["anonymous"].marked_bytes == 0
    assert found["shared"].rss_bytes == MIB
    assert found["hugetlb"].size_bytes == 2 * MIB


def with_counters(*, seconds: float = 2, age: float = 3600, **after: int | None) -> ProcessLook:
    """What changed from before to after, of the process and of ksmd (ksm_NAME)."""
    found = look(seconds=seconds, age_seconds=age)
    assert found.after is not None
    of_host = {name[4:]: number for name, number in after.items() if name.startswith("ksm_")}
    rest = {name: number for name, number in after.items() if not name.startswith("ksm_")}
    ksm = replace(found.after.ksm, values={**ON, **of_host})  # type: ignore[dict-item]
    return replace(found, after=replace(found.after, ksm=ksm, **rest))  # type: ignore[arg-type]


# What is said, in words and with figures: of 100 MiB marked, 10 are merged.
@pytest.mark.parametrize(
    ("found", "name", "size_mib", "said", "todo"),
    [
        (look(), "unique data", 90, "90.0 MiB were scanned", "`ksmrun estimate 7`"),
        (look(sampled=Sampled(0, 0)), "unique data", 90, "hold still", "--layout shared"),
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
            *("does not scan (run=0)", "sudo ksmrun host on"),
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
            *("looked at 0 of 25600 marked pages; 2 passes and +0 merged", "boot 6.12 or later"),
        ),
        (
            *(with_counters(ksm_full_scans=101, rmap_items=0), "not settled", 100),
            *("1 passes and +0 merged pages in 2 s", "host set pages_to_scan=N"),
        ),
        (
            *(with_counters(rmap_items=12_800, merging_pages=2570), "not settled", 89.96),
            *("looked at 12800 of 25600 marked pages; 0 passes and +10 merged", "wait, or raise"),
        ),
        (
            *(with_counters(ksm_full_scans=2, ksm_pages_shared=1_000_000), "not settled", 90),
            *("marked pages; a page merges in the second pass", "wait, or raise"),
        ),
    ],
)
def test_what_is_said(
    found: ProcessLook, name: str, size_mib: float | None, said: str, todo: str
) -> None:
    (cause,) = [cause for cause in explain(found) if cause.name == name]
    size = None if cause.size_bytes is None else cause.size_bytes / MIB
    assert size == (None if size_mib is None else pytest.approx(size_mib, abs=0.01))
    assert said in cause.found and todo in cause.todo


@given(
    sizes=st.lists(st.integers(0, 40 * MIB), min_size=4, max_size=4),
    rss=st.integers(0, 400 * MIB),
)
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
    """Over all pages that ksmd knows, at 50,000 pages a second."""
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
        # Three passes were seen, or it is older than three passes take (3.0 s here).
        (with_counters(ksm_full_scans=103), True),
        (with_counters(ksm_full_scans=102, ksm_pages_shared=10**9), False),
        (with_counters(ksm_full_scans=103, ksm_pages_shared=10**9), True),
        (with_counters(age=3, ksm_pages_shared=50_000), True),
        (with_counters(age=2.9, ksm_pages_shared=50_000), False),
        (with_counters(ksm_full_scans=3), True),
        (with_counters(ksm_full_scans=2), False),
        # A little merges always.
        (with_counters(ksm_full_scans=103, merging_pages=2586), True),
        (with_counters(ksm_full_scans=103, merging_pages=2587), False),
        (with_counters(merging_pages=2561), False),
        # 95% was looked at.
        (with_counters(rmap_items=24_320), True),
        (with_counters(rmap_items=24_319), False),
        # Those of zeros are not among the marked ones that ksmd keeps records of.
        (with_counters(rmap_items=24_330, zero_pages=11), False),
    ],
)
def test_when_it_has_settled(found: ProcessLook, settled: bool) -> None:
    assert ("not settled" not in names(found)) == settled


def test_smart_scan() -> None:
    def skipped(smart: int, first: int | None, last: int | None) -> ProcessLook:
        found = with_ksm(smart_scan=smart)
        assert found.before is not None and found.after is not None
        counters = [
            replace(each, ksm=replace(each.ksm, values=dict(each.ksm.values) | more))
            for each, number in ((found.before, first), (found.after, last))
            for more in [{} if number is None else {"pages_skipped": number}]
        ]
        return replace(found, before=counters[0], after=counters[1])

    cause = explain(skipped(1, 10, 15))[-1]
    assert (cause.name, cause.size_bytes) == ("smart scan", 90 * MIB)
    assert "skipped 5 pages" in cause.found and "set smart_scan=0" in cause.todo
    for each in (
        skipped(0, 10, 15),
        skipped(1, 10, 10),
        skipped(1, None, 15),
        skipped(1, 10, None),
    ):
        assert names(each) == ["unique data"]


def test_what_may_not_be_read() -> None:
    for user, who in ((None, "its owner and root"), ("web", "web and root"), ("root", "for root ")):
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
