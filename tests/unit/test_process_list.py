"""Savings of all processes together: exact if all that merge are listed, else two bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ksmrun.commands.ps import total_line
from ksmrun.model.process import Identity, ProcessKsm, ProcessList

PAGE = 4096
ME = Identity(1, 1, "a", "a", None, 0, "root", None, None, None, None, None)


def listed(
    *merging: int, shared: int, sharing: int, metadata: int = 0, unreadable: int = 0
) -> ProcessList:
    processes = tuple(
        ProcessKsm(ME, "prctl", pages, 0, pages, pages * PAGE - metadata, 0, 0, 0)
        for pages in merging
    )
    return ProcessList(processes, unreadable, False, PAGE, shared, 65530, sharing)


def test_all_are_listed() -> None:
    found = listed(1000, 1000, shared=1000, sharing=1000)
    assert found.profit_bytes == 1000 * PAGE
    assert "together they save 3.9 MiB, the 1000 pages kept once" in total_line(found)


def test_without_root_nothing_negative_is_saved() -> None:
    """The host's kept pages are those of others: they were taken off one's own processes."""
    found = listed(1000, shared=50_000, sharing=300_000, unreadable=70)
    assert found.profit_bytes is None
    assert (found.profit_bytes_min, found.profit_bytes_max) == (0, 1000 * PAGE)
    line = total_line(found)
    assert "save up to 3.9 MiB, metadata subtracted; not exact, as 349000 of the 350000 " in line
    assert "-" not in line


def test_metadata_can_cost_more() -> None:
    line = total_line(listed(0, shared=0, sharing=0, metadata=64 << 20))
    assert "together they cost 64.0 MiB more (metadata) than they save" in line


# By user the processes of a host, each merged page with the group of equal ones it belongs to.
@given(
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=400), min_size=1, max_size=6),
    st.integers(1, 6),
)
def test_the_bounds_hold(pages_of: list[list[int]], ours: int) -> None:
    """Ours save what separate pages would add, less the pages kept for them alone."""
    mine = pages_of[:ours]
    everyone = [group for pages in pages_of for group in pages]
    shared = len(set(everyone))
    found = listed(*map(len, mine), shared=shared, sharing=len(everyone) - shared)
    own = [group for pages in mine for group in pages]
    of_others = {group for pages in pages_of[ours:] for group in pages}
    saved = (len(own) - len(set(own) - of_others)) * PAGE
    least, most = found.profit_bytes_min, found.profit_bytes_max
    assert least is not None and most is not None and 0 <= least <= saved <= most
    if ours >= len(pages_of):
        assert found.profit_bytes == saved
