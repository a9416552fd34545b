"""Processes that may be made to merge, and the messages about the others."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from ksmrun.attach import running
from ksmrun.model.attach import Candidate, Deed
from ksmrun.model.errors import KsmrunError
from ksmrun.model.process import Identity
from ksmrun.plan.attach import OUTCOMES, deed, outcome, refusal

WHO = Identity(*(7, 1, "web", "web", "/bin/web", 0, "root", None, None, None, None, None))
RUNNING = Candidate(
    identity=WHO,
    state="S",
    is_kernel_thread=False,
    tracer=0,
    merges=False,
    merged_pages=0,
    maps=100,
)


def test_who_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """To root it is no advice to run the command as root."""

    def refuse(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(running, "read_stat", refuse)
    for user, what, todo in (
        (1000, "belongs to another user", "run this as root"),
        (0, "not even by root", "run this on the host"),
    ):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        with pytest.raises(KsmrunError) as caught:
            running.look(7)
        assert what in caught.value.what and caught.value.todo.startswith(todo)


def test_what_is_done_depends_on_the_kernel() -> None:
    assert deed(merges=True, has_flag=True) is Deed.ON
    assert deed(merges=False, has_flag=True) is Deed.OFF
    assert deed(merges=True, has_flag=False) is Deed.MARK
    assert deed(merges=False, has_flag=False) is Deed.UNMARK


@pytest.mark.parametrize(
    ("changes", "what", "todo"),
    [
        ({"is_kernel_thread": True}, "it is a kernel thread", "give another PID"),
        ({"state": "Z"}, "it has ended", "give another PID"),
        ({"state": "X"}, "it has ended", "give another PID"),
        ({"tracer": 9}, "PID 9 traces it", "detach that debugger"),
        ({"state": "T"}, "it is stopped", "kill -CONT"),
        ({"state": "t"}, "it is stopped", "kill -CONT"),
        ({"state": "D"}, "it is in uninterruptible sleep", "try again"),
        (
            {"maps": 801},
            "it has 801 of at most 1000 mappings, too near",
            "sudo ksmrun host max-map-count 1024",
        ),
    ],
)
def test_who_is_left_alone(changes: dict[str, object], what: str, todo: str) -> None:
    found = refusal(replace(RUNNING, **changes), 1000, Deed.ON)  # type: ignore[arg-type]
    assert found is not None
    assert what in found[0] and todo in found[1]


@pytest.mark.parametrize("state", "RSI")
@pytest.mark.parametrize("wanted", Deed)
def test_who_may_be_tried(state: str, wanted: Deed) -> None:
    for maps, limit in ((800, 1000), (None, 1000), (10**6, None)):
        assert refusal(replace(RUNNING, state=state, maps=maps), limit, wanted) is None
    # Without merging the number of VMAs does not grow.
    crowded = refusal(replace(RUNNING, maps=801), 1000, wanted)
    assert (crowded is not None) == (wanted in (Deed.ON, Deed.MARK))


def test_outcomes_are_words() -> None:
    what, todo = outcome("refused", 13)
    assert "errno 13" in what and todo == "see `ksmrun check`"
    for name, said in OUTCOMES.items():
        assert outcome(name, 0) == said
    assert outcome("new", 0) == (
        "ksmrun-attach reports 'new', which is not known",
        "install ksmrun again",
    )
