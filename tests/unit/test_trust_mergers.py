"""The scan for merging processes misses nobody, and says whom it could not examine."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from ksmrun.facts import trust_mergers
from ksmrun.facts.trust_mergers import ROUNDS_MAX, find_mergers
from ksmrun.model.process import Container
from ksmrun.model.trust import ContainerTraits, Merger, Mergers, Traits


def details(found: Container) -> ContainerTraits:
    return ContainerTraits(found.engine, found.id)


def listings(*given: list[int]) -> Callable[[], list[int]]:
    """Return a reader of /proc that finds these, the last again and again."""
    left = list(given)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> dict[int, OSError]:
    """Return what reading a PID raises, to be filled by the test; odd ones do not merge."""
    found: dict[int, OSError] = {}

    def merges_not(pid: int) -> bool:
        if pid in found:
            raise found[pid]
        return pid % 2 == 1

    def read(pid: int, _details: object) -> Merger:
        return Merger(pid, pid, "x", Traits(), "prctl")

    monkeypatch.setattr(trust_mergers, "merges_not", merges_not)
    monkeypatch.setattr(trust_mergers, "read_merger", read)
    return found


def pids(found: Mergers) -> list[int]:
    return [each.pid for each in found.found]


def test_a_child_of_one_that_ended_in_between_is_found(errors: dict[int, OSError]) -> None:
    errors[2] = ProcessLookupError(errno.ESRCH, "it ended")
    assert pids(find_mergers(details, listings([1, 2], [1, 4], [1, 4, 6], [1, 4, 6]))) == [4, 6]


def test_who_cannot_be_examined_is_told(errors: dict[int, OSError]) -> None:
    errors[3] = PermissionError(errno.EACCES, "another user's")
    errors[5] = FileNotFoundError(errno.ENOENT, "it ended")
    found = find_mergers(details, listings([2, 3, 5]))
    assert (pids(found), found.unread) == ([2], (3,))


def test_new_ones_without_an_end_are_not_taken_for_none(errors: dict[int, OSError]) -> None:
    assert not errors
    them: list[int] = []

    def more() -> list[int]:
        them.append(2 * len(them) + 1)
        return list(them)

    found = find_mergers(details, more)
    assert pids(found) == []
    assert found.unread == (2 * ROUNDS_MAX + 1,)


def test_a_lack_of_descriptors_is_no_ended_process(errors: dict[int, OSError]) -> None:
    errors[2] = OSError(errno.EMFILE, "too many open files")
    with pytest.raises(OSError, match="too many"):
        find_mergers(details, listings([2]))
