"""Convergence rule on made-up series."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from ksmrun.observe.settle import has_settled, merged_pages, settle_progress


class Counts(NamedTuple):
    """What has_settled() reads of a sample."""

    full_scans: int
    pages_sharing: int
    zero_pages: int = 0


def series(*points: tuple[int, int]) -> list[Counts]:
    """Return samples from (full_scans, merged pages)."""
    return [Counts(*point) for point in points]


def test_three_scans_without_change() -> None:
    assert not has_settled([])
    assert not has_settled(series((5, 10000)))
    assert not has_settled(series((5, 10000), (6, 10000), (7, 10000)))
    assert has_settled(series((5, 10000), (6, 10000), (7, 10000), (8, 10000)))
    assert has_settled(series((5, 10000), (9, 10050)))


def test_movement_in_between_counts() -> None:
    assert not has_settled(series((5, 10000), (6, 5000), (8, 10000)))
    assert not has_settled(series((0, 0), (1, 5000), (2, 9000), (3, 10000)))
    assert has_settled(series((0, 0), (1, 5000), (2, 10000), (5, 10000)))


def test_merging_that_never_begins_settles_too() -> None:
    assert has_settled(series((5, 0), (8, 0)))


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10**6)), min_size=1))
def test_progress_is_whole_only_when_settled(points: list[tuple[int, int]]) -> None:
    samples = series(*sorted(points))
    progress = settle_progress(samples)
    assert 0 <= progress <= 1
    assert (progress == 1) == has_settled(samples)


def test_a_lost_count_of_zero_pages_is_none() -> None:
    """As on 6.18, where it falls below zero."""
    assert merged_pages(Counts(1, 1000, -400)) == 1000
