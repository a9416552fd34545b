"""Rows of `ksmrun check`: which are good, which warn, and what they say to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.model.ksm import HostFacts, KsmFacts
from ksmrun.model.launch import Probe
from ksmrun.plan.doctor import (
    MAX_MAP_COUNT_DEFAULT,
    CheckRow,
    examine,
    pages_per_second,
    would_merge,
)
from ksmrun.plan.mechanism import LOST_AT_EXEC

from .test_plan import GOOD, HOST, KSM, LOSES, NEVER_SCANS, NO_KSM, OLD, SPLITS

ITEMS = [
    *("kernel", "VMA merging", "ksmd", "scan rate", "vm.max_map_count", "huge pages", "swap"),
    *("NUMA", "container", "privileges", "seccomp"),
]
MIB, GIB = 1 << 20, 1 << 30


def ksm(**values: int | str) -> HostFacts:
    return replace(HOST, ksm=replace(KSM, values={**KSM.values, **values}))


def host(**changes: object) -> HostFacts:
    return replace(HOST, **changes)  # type: ignore[arg-type]


def probe(**changes: object) -> Probe:
    return replace(GOOD, **changes)  # type: ignore[arg-type]


def without_ksm_values() -> HostFacts:
    return host(ksm=KsmFacts(True, 4096, {"run": 1}))


def test_a_good_host() -> None:
    rows = examine(HOST, GOOD)
    assert [row.item for row in rows] == ITEMS
    assert {row.status for row in rows} == {"ok"} and would_merge(rows)
    assert all(row.found and row.todo == "" for row in rows)


def only(item: str, rows: tuple[CheckRow, ...]) -> CheckRow:
    """Return the only row of that name; check that all others are good and can be printed."""
    (found,) = [row for row in rows if row.item == item]
    assert all(row.status == "ok" for row in rows if row.item != item)
    return found


# What is wrong, the row that says so, and parts of its message and its advice.
@pytest.mark.parametrize(
    ("facts", "asked", "item", "status", "found", "todo"),
    [
        (HOST, OLD, "kernel", "warn", "6.1.0: this kernel has no PR_S", "6.12 or later, for the o"),
        (HOST, NO_KSM, "kernel", "fail", "6.1.0: this kernel has no", "boot Linux 6.12 or later"),
        (HOST, LOSES, "kernel", "warn", f"6.6.9: {LOST_AT_EXEC[0]}; dynamic", LOST_AT_EXEC[1]),
        (
            *(HOST, probe(prctl_supported=None), "kernel", "warn"),
            *("6.18.0: it could not be probed", "ulimit -u, pids.max"),
        ),
        (HOST, NEVER_SCANS, "scan after exec", "warn", "kernels 6.7 to 6.8.11 never", "6.12 or"),
        (
            *(HOST, SPLITS, "VMA merging", "warn"),
            *(
                "64 neighbouring mappings stay 65 VMAs, and 64 brk steps make 64;",
                "boot 6.17 or later",
            ),
        ),
        (
            *(host(ksm=KsmFacts(False, 4096, {"pages_to_scan": 1, "sleep_millisecs": 9})), GOOD),
            *("ksmd", "fail", "/sys/kernel/mm/ksm is not there", "CONFIG_KSM=y"),
        ),
        (ksm(run=0), GOOD, "ksmd", "fail", "off (run=0)", "sudo ksmrun host on"),
        (ksm(run=2), GOOD, "ksmd", "fail", "unmerging (run=2)", "sudo ksmrun host on"),
        (
            ksm(run="x"),
            GOOD,
            "ksmd",
            "fail",
            "/sys/kernel/mm/ksm/run does not hold a number",
            "cat ",
        ),
        (without_ksm_values(), GOOD, "scan rate", "warn", "unknown", "/proc/meminfo"),
        (host(anonymous_bytes=None), GOOD, "scan rate", "warn", "unknown", "/proc/meminfo"),
        (
            ksm(pages_to_scan=0),
            GOOD,
            "scan rate",
            "fail",
            "pages_to_scan=0",
            "set pages_to_scan=100",
        ),
        (
            *(host(anonymous_bytes=40 * GIB), GOOD, "scan rate", "warn"),
            *("at most 19.5 MiB/s: a full scan of this host's 40960 MiB", "set pages_to_scan=2000"),
        ),
        (host(max_map_count=None), GOOD, "vm.max_map_count", "warn", "unreadable", "mount /proc"),
        (
            *(host(max_map_count=MAX_MAP_COUNT_DEFAULT - 1), GOOD, "vm.max_map_count", "warn"),
            *("65529, below the kernel's default", "sudo sysctl -w vm.max_map_count=65530"),
        ),
        (host(thp_enabled="always"), GOOD, "huge pages", "warn", "always on", "--thp=off"),
        (
            *(host(swap_total_bytes=100 * MIB, swap_free_bytes=80 * MIB), GOOD, "swap", "warn"),
            *("20 of 100 MiB used: pages in swap do not merge", "free memory before measuring"),
        ),
        (
            *(host(swap_total_bytes=100 * MIB, swap_free_bytes=None, zswap_enabled=True), GOOD),
            *("swap", "warn", "100 of 100 MiB used with zswap, whose", "free memory"),
        ),
        (
            *(replace(ksm(merge_across_nodes=0), numa_nodes=2), GOOD, "NUMA", "warn"),
            *("2 nodes, and merge_across_nodes=0", "host set merge_across_nodes=1"),
        ),
        (host(hidepid=True), GOOD, "/proc", "warn", "hidepid", "`sudo ksmrun ps`"),
    ],
)
def test_what_hinders(
    facts: HostFacts, asked: Probe, item: str, status: str, found: str, todo: str
) -> None:
    rows = examine(facts, asked)
    row = only(item, rows)
    assert row.status == status
    assert f" {found}" in f" {row.found}" and todo in row.todo
    assert would_merge(rows) == (status != "fail")


# What is good either way, and parts of the message.
@pytest.mark.parametrize(
    ("facts", "asked", "item", "found"),
    [
        (HOST, GOOD, "kernel", "6.18.0: keeps the merge flag over exec"),
        (HOST, probe(kept_over_exec=None), "kernel", "6.18.0: whether the merge flag is kept"),
        (HOST, GOOD, "VMA merging", "neighbouring mappings join"),
        (HOST, GOOD, "ksmd", "on (run=1)"),
        (HOST, GOOD, "scan rate", "host's 2048 MiB of anonymous memory takes 105 s"),
        (
            *(replace(ksm(advisor_mode="scan-time"), anonymous_bytes=400 * GIB), GOOD),
            *("scan rate", "the kernel's advisor changes it as it goes"),
        ),
        (ksm(advisor_mode="none"), GOOD, "scan rate", "second one at the earliest"),
        (host(max_map_count=MAX_MAP_COUNT_DEFAULT), GOOD, "vm.max_map_count", "65530"),
        (HOST, GOOD, "huge pages", "transparent huge pages: madvise"),
        (host(thp_enabled=None), GOOD, "huge pages", "none in this kernel"),
        (HOST, GOOD, "swap", "none: merged pages that split again need free memory"),
        (
            *(host(swap_total_bytes=100 * MIB, swap_free_bytes=90 * MIB), GOOD),
            *("swap", "10 of 100 MiB used"),
        ),
        (HOST, GOOD, "NUMA", "one memory node"),
        (host(numa_nodes=None), GOOD, "NUMA", "not in this kernel"),
        (replace(ksm(merge_across_nodes=0), numa_nodes=1), GOOD, "NUMA", "one memory node"),
        (host(numa_nodes=2), GOOD, "NUMA", "2 nodes, merging across them"),
        (HOST, GOOD, "container", "not in one"),
        (
            host(container="lxc", ksm_writable=True),
            GOOD,
            "container",
            "this looks like lxc, but KSM can",
        ),
        (host(container="lxc"), GOOD, "container", "inside lxc: KSM belongs to the host"),
        (HOST, GOOD, "privileges", "capabilities: none; no_new_privs: off; this user cannot tune"),
        (
            *(host(capabilities=("a", "b"), no_new_privs=True, ksm_writable=True), GOOD),
            *("privileges", "capabilities: 2 held; no_new_privs: on; this user can tune KSM"),
        ),
        (host(capabilities=None), GOOD, "privileges", "capabilities: unknown;"),
        (HOST, GOOD, "seccomp", "no filter"),
        (host(seccomp_mode=1), GOOD, "seccomp", "strict mode"),
        (host(seccomp_mode=2), GOOD, "seccomp", "a filter is installed"),
        (host(seccomp_mode=3), GOOD, "seccomp", "unknown"),
        (host(seccomp_mode=None), GOOD, "seccomp", "unknown"),
    ],
)
def test_what_is_good(facts: HostFacts, asked: Probe, item: str, found: str) -> None:
    row = only(item, examine(facts, asked))
    assert (row.status, row.todo) == ("ok", "")
    assert f" {found}" in f" {row.found}"


def test_in_a_container_ksm_is_turned_on_outside() -> None:
    rows = examine(replace(ksm(run=0), container="podman"), GOOD)
    (row,) = [row for row in rows if row.item == "container"]
    assert (row.status, row.todo) == ("warn", "on the host: sudo ksmrun host on")
    none = host(container="podman", ksm=replace(KSM, present=False, values={}))
    (row,) = [row for row in examine(none, GOOD) if row.item == "container"]
    assert (row.status, row.todo) == ("ok", ""), "there is none to be turned on"


@pytest.mark.parametrize("asked", [OLD, NO_KSM, LOSES, probe(prctl_supported=None)])
def test_of_a_kernel_that_does_not_merge_nothing_more_is_said(asked: Probe) -> None:
    items = [row.item for row in examine(HOST, replace(asked, mmap_vmas=65))]
    assert items == [item for item in ITEMS if item != "VMA merging"]


def test_whether_vmas_join_may_be_unknown() -> None:
    rows = examine(HOST, probe(mmap_vmas=None, brk_vmas=None))
    assert "VMA merging" not in [row.item for row in rows]


@given(st.integers(0, 10**6), st.integers(0, 1000))
def test_the_rate_of_a_scan(pages: int, sleep: int) -> None:
    """A batch, then a sleep; if there is none, a millisecond for the batch is assumed."""
    rate = pages_per_second(ksm(pages_to_scan=pages, sleep_millisecs=sleep).ksm)
    assert rate == pytest.approx(pages / (max(sleep, 1) / 1000))


@pytest.mark.parametrize("name", ["pages_to_scan", "sleep_millisecs"])
def test_a_rate_that_is_not_known(name: str) -> None:
    assert pages_per_second(ksm(**{name: "x"}).ksm) is None


def test_a_slow_pass_is_one_of_more_than_five_minutes() -> None:
    def status(seconds: int) -> str:
        pages = 5000 * seconds
        return only("scan rate", examine(host(anonymous_bytes=pages * 4096), GOOD)).status

    assert (status(300), status(301)) == ("ok", "warn")


def test_scan_time_is_that_of_the_kernel_facts() -> None:
    """5,000 pages/s: a full scan of 40 GiB takes 35 minutes."""
    row = only("scan rate", examine(host(anonymous_bytes=40 * GIB), GOOD))
    assert "takes 35 min, and a page merges in its second" in row.found


def test_check_repeats_the_launchers_words() -> None:
    for asked in (OLD, NO_KSM):
        row = only("kernel", examine(HOST, asked))
        assert asked.prctl_obstacle_what is not None and asked.prctl_obstacle_todo is not None
        assert asked.prctl_obstacle_what in row.found
        assert asked.prctl_obstacle_todo in row.todo


@pytest.mark.parametrize(
    ("tunables", "todo"),
    [
        ({"sleep_millisecs": 0, "pages_to_scan": 9}, "host set sleep_millisecs=20"),
        ({"sleep_millisecs": 0, "pages_to_scan": 10**6}, "sleep_millisecs=20 pages_to_scan=100"),
        ({"sleep_millisecs": 20, "pages_to_scan": 10**6}, "host set pages_to_scan=100"),
        (
            {"sleep_millisecs": 0, "pages_to_scan": 100, "advisor_mode": "scan-time"},
            "host set advisor_mode=none sleep_millisecs=20",
        ),
    ],
)
def test_a_scan_that_takes_a_whole_core(tunables: dict[str, Any], todo: str) -> None:
    row = only("scan rate", examine(ksm(**tunables), GOOD))
    assert row.status == "warn" and "takes a whole core" in row.found and row.todo.endswith(todo)
