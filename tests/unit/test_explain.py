"""Causes that this host cannot bring about, and smaps of other kernels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ksmrun.facts.smaps import by_kind, read_vmas
from ksmrun.model.explain import Counters, MemoryKind, ProcessLook, Sampled
from ksmrun.model.ksm import KsmFacts
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
    """Return a process of 100 MiB of which a tenth is merged, on a host without problems."""
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
    # Too small to be reported.
    assert names(kinds(shared=MemoryKind(rss_bytes=3 * MIB))) == ["unique data"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"run": 0}, ["ksmd off"]),
        ({"run": 2}, ["ksmd unmerges"]),
        ({"pages_to_scan": 0}, ["ksmd off"]),
        ({"full_scans": 101}, ["unique data"]),
        # Reset by run=2, and two full scans since.
        ({"full_scans": 2}, ["not settled"]),
        # A full scan of that many pages takes longer than this process has lived.
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
    # Full scans were completed, and nothing of it was scanned.
    assert names(replace(found, after=replace(found.after, rmap_items=0))) == ["never scanned"]
    # It still merges.
    assert names(replace(found, after=replace(found.after, merging_pages=9000))) == ["not settled"]


def test_no_ksm_and_many_nodes() -> None:
    none = KsmFacts(present=False, page_bytes=4096, values={})
    found = look()
    assert found.after is not None
    (cause,) = explain(replace(found, after=replace(found.after, ksm=none)))
    assert cause.name == "no KSM" and cause.found.startswith("this kernel has no KSM")
    assert cause.todo == "boot a kernel with CONFIG_KSM=y"
    found = replace(with_ksm(merge_across_nodes=0), numa_nodes=2)
    assert names(found) == ["NUMA", "unique data"]


@pytest.mark.parametrize(
    ("changes", "todo"),
    [
        ({}, "ksmrun run -- COMMAND"),
        ({"unit": "web.service"}, "sudo ksmrun wrap unit --now web"),
        ({"unit": "php8.2-fpm.service"}, "sudo ksmrun wrap unit --now php8.2-fpm"),
        ({"unit": "a@x\\x2dy.service"}, "sudo ksmrun wrap unit --now 'a@x\\x2dy'"),
        ({"unit": "user@1000.service/web.service"}, "ksmrun run -- COMMAND"),
        ({"engine": "podman", "unit": "web.service"}, "wrap runtime podman"),
        ({"engine": "lxc"}, "ksmrun run -- COMMAND"),
    ],
)
def test_how_it_would_get_the_flag(changes: dict[str, str], todo: str) -> None:
    found = look(enabled_by=None, identity=replace(WHO, **changes))  # type: ignore[arg-type]
    (cause,) = explain(found)
    assert cause.name == "flag missing" and cause.found.startswith("it has no merge flag")
    assert todo in cause.todo and not cause.todo.endswith(".service")
    # Now, and permanently.
    assert cause.todo.startswith("sudo ksmrun attach 7, or ")
    (cause,) = explain(found, ("no such prctl", "boot another"))
    assert cause.name == "flag missing" and cause.found.endswith("by madvise; no such prctl")
    assert cause.todo == "sudo ksmrun attach 7, or boot another"


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
