"""Limits of the alerts about merged memory that is, or could be, unmerged."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ksmrun.model.memory_group import GroupState
from ksmrun.model.watch import Condition, HostState, WatchState

from .test_condition_limits import BAD, BETWEEN, CLEAR, every_15_s, one, stands
from .test_conditions import HOST, MIB, PROCESS, of_host


def breaks(*pages: int | None, apart: float = 15.0) -> list[WatchState]:
    return [
        WatchState(of_host(seconds=1000 + apart * number, cow_breaks=each), (PROCESS,))
        for number, each in enumerate(pages)
    ]


@pytest.mark.parametrize(
    ("states", "expected", "speed"),
    [
        (breaks(0, 67_499), CLEAR, "4500"),
        (breaks(0, 67_500), BETWEEN, "4500"),
        (breaks(0, 74_990), BETWEEN, "4999"),
        (breaks(0, 75_000), BAD, "5000"),
        (breaks(10**9, 10**9 + 75_000), BAD, "5000"),
        (breaks(0, 5000, apart=1.0), BAD, "5000"),
        (breaks(0, 5000, apart=0.5), CLEAR, "0"),
        (breaks(0, 2500, 5000, apart=0.5), BAD, "5000"),
        (breaks(0, 0, 75_000), BAD, "5000"),
        (breaks(5), CLEAR, "0"),
        (breaks(None, 75_000), CLEAR, "0"),
        (breaks(0, None), CLEAR, "0"),
    ],
)
def test_cow_surge(states: list[WatchState], expected: str, speed: str) -> None:
    found = one("cow-surge", states)
    assert (stands(found), found.facts) == (expected, {"value": speed, "limit": "5000"})
    assert found.subject == "the host" and "sudo ksmrun ps" in found.todo
    assert found.what.startswith(f"{speed} merged pages a second are copied back")


def merged(number: int, free: int | None, swap: int | None = 0, **changes: Any) -> HostState:
    """Return merged memory, in units that are easy to count."""
    return of_host(
        page_bytes=MIB,
        pages_sharing=number,
        mem_available_bytes=None if free is None else free * MIB,
        swap_free_bytes=None if swap is None else swap * MIB,
        **changes,
    )


@pytest.mark.parametrize(
    ("host", "expected", "free"),
    [
        (merged(900, 1000), CLEAR, 1000),
        (merged(901, 1000), BETWEEN, 1000),
        (merged(1000, 1000), BETWEEN, 1000),
        (merged(1001, 1000), BAD, 1000),
        (merged(1001, 1000, 1000), CLEAR, 2000),
        (merged(1001, 1000, None), BAD, 1000),
        # Nothing follows from unknown values.
        (merged(1001, None), BETWEEN, 0),
        (merged(0, None), BETWEEN, 0),
    ],
)
def test_memory_that_could_come_back(host: HostState, expected: str, free: int) -> None:
    found = one("memory-could-come-back", [WatchState(host, ())])
    assert (stands(found), found.subject) == (expected, "the host")
    pages = host.ksm.number("pages_sharing") or 0
    assert found.facts == {"value": str(pages * MIB), "limit": str(free * MIB)}
    assert found.what.startswith(f"{pages} MiB are merged, and only {free} MiB are free")
    assert "do not unmerge" in found.todo


@pytest.mark.parametrize(
    ("pages", "expected"), [(900, CLEAR), (901, BETWEEN), (1000, BETWEEN), (1001, BAD)]
)
def test_memory_that_could_come_back_in_a_group(pages: int, expected: str) -> None:
    group = GroupState("/a.slice", 4000 * MIB, 1000 * MIB, pages * MIB, "/x", "a.slice")
    found = one("memory-could-come-back", [WatchState(HOST, (), (group,))], "/a.slice")
    assert (stands(found), found.subject) == (expected, "/a.slice")
    assert found.facts == {"value": str(pages * MIB), "limit": str(1000 * MIB)}
    said = f"/a.slice has {pages} MiB merged, and only 1000 of its 4000 MiB are free"
    assert found.what.startswith(said) and f"a.slice MemoryMax={pages + 3000}M" in found.todo


def comes_back(before: HostState, after: HostState, total: float | None = 1000) -> Condition:
    total_bytes = None if total is None else int(total * MIB)
    hosts = [dataclasses.replace(each, mem_total_bytes=total_bytes) for each in (before, after)]
    return one("memory-comes-back", every_15_s(*hosts))


@pytest.mark.parametrize(
    ("before", "after", "total", "expected"),
    [
        # A twentieth of all memory, and available memory is lower by as much.
        (merged(150, 500), merged(100, 450), 1000, BAD),
        (merged(149, 500), merged(100, 450), 1000, CLEAR),
        (merged(150, 500), merged(100, 451), 1000, CLEAR),
        (merged(100, 500), merged(150, 450), 1000, CLEAR),
        (merged(150, 500), merged(100, 450), None, CLEAR),
        (merged(100, 500), merged(100, 500), None, CLEAR),
        (merged(150, None), merged(100, 450), 1000, CLEAR),
        (merged(150, 500), merged(100, None), 1000, BAD),
        # Zero is not unknown: one byte would suffice here.
        (merged(150, None), merged(100, 0), 0.00001, CLEAR),
        (merged(150, 0), merged(100, None), 0.00001, CLEAR),
        (merged(150, 50), merged(100, None), 1000, BAD),
    ],
)
def test_memory_that_comes_back(
    before: HostState, after: HostState, total: float | None, expected: str
) -> None:
    found = comes_back(before, after, total)
    assert (stands(found), found.subject) == (expected, "the host")


def test_what_is_said_of_memory_that_comes_back() -> None:
    found = comes_back(merged(160, 500), merged(100, 440))
    assert found.what.startswith("60 MiB of merged memory came back within 15 s, and 60 MiB less")
    assert found.facts == {"value": str(60 * MIB), "limit": str(50 * MIB)}
    assert "sudo ksmrun ps" in found.todo
