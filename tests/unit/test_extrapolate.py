"""Extrapolation from some processes to all: how often the interval contains the truth."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.model.estimate import Contents
from ksmrun.observe.extrapolate import extrapolate

ROUNDS = 50


def contents_of(processes: list[frozenset[int]]) -> tuple[list[Contents], int]:
    """Return contents as ksmrun-estimate counts them, and the number of different ones."""
    uses = Counter(content for process in processes for content in process)
    counted = []
    for process in processes:
        by_uses = Counter(map(uses.__getitem__, process))
        counted.append(Contents(len(process), by_uses[1], by_uses[2], by_uses[3]))
    return counted, len(uses)


def make_fleet(
    size: int, *, common: int, own: int, group: int, groups: int
) -> list[frozenset[int]]:
    """Make processes with contents of all, of only one (a varying number), and of some groups."""
    fleet, following = [], common + group * groups
    for _ in range(size):
        mine = random.randrange(own // 2, own * 3 // 2 + 1)
        start = common + random.randrange(groups) * group
        fleet.append(
            frozenset(
                (*range(common), *range(start, start + group), *range(following, following + mine))
            )
        )
        following += mine
    return fleet


@pytest.mark.slow
@pytest.mark.parametrize(
    ("common", "own", "group", "groups"),
    [(500, 100, 0, 1), (0, 200, 0, 1), (300, 0, 50, 4), (300, 60, 100, 4)],
    ids=["own", "nothing-common", "groups", "own-and-groups"],
)
def test_coverage(common: int, own: int, group: int, groups: int) -> None:
    random.seed(3)
    held = 0
    for _ in range(ROUNDS):
        fleet = make_fleet(200, common=common, own=own, group=group, groups=groups)
        truth = len(frozenset().union(*fleet))
        looked_at, distinct = contents_of(random.sample(fleet, 16))
        told = extrapolate(looked_at, distinct, len(fleet))
        # A difference of one content is no error; intervals may have no width.
        held += abs(told.contents - truth) <= told.half_width + 0.01 * truth
    assert held >= 0.9 * ROUNDS


@given(st.lists(st.frozensets(st.integers(0, 40)), min_size=3, max_size=12), st.integers(0, 50))
def test_never_fewer_than_seen_nor_more_than_each_its_own(
    fleet: list[frozenset[int]], more: int
) -> None:
    looked_at, distinct = contents_of(fleet)
    told = extrapolate(looked_at, distinct, len(fleet) + more)
    once = sum(each.in_one for each in looked_at) / len(fleet)
    assert distinct - 1e-6 <= told.contents <= distinct + more * once + 1e-6
    if more == 0:
        assert told.half_width == 0
