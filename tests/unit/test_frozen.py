"""Our dataclasses are what the standard library's are, but for what mypy alone refuses."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ksmrun.model import frozen
from ksmrun.model.launch import Request
from ksmrun.options.launch import RunOptions


def made(decorator: Any) -> Any:
    @decorator(frozen=True)
    class Base:
        """One field."""

        first: Any

    @decorator(frozen=True, kw_only=True)
    class Made(Base):
        """Two more."""

        second: Any = 2
        third: Any = dataclasses.field(default_factory=list)

    return Made


OURS, THEIRS = made(frozen.dataclass), made(dataclasses.dataclass)
VALUES = st.integers(0, 1) | st.text("ab", max_size=1) | st.tuples(st.integers(0, 1))


@given(VALUES, VALUES, VALUES, VALUES)
def test_they_are_compared_and_shown_alike(a: Any, b: Any, c: Any, d: Any) -> None:
    given = ((a, b), (c, d))
    ours, theirs = ([make(x, second=y, third=0) for x, y in given] for make in (OURS, THEIRS))
    assert (ours[0] == ours[1]) == (theirs[0] == theirs[1])
    assert (hash(ours[0]) == hash(ours[1])) == (hash(theirs[0]) == hash(theirs[1]))
    assert [*map(repr, ours)] == [*map(repr, theirs)]
    assert dataclasses.asdict(ours[0]) == dataclasses.asdict(theirs[0])
    assert dataclasses.replace(ours[0], first=c, second=d) == ours[1]
    assert ours[0] != theirs[0]


def test_own_methods_stay() -> None:
    @frozen.dataclass(frozen=True)
    class Own:
        """One that shows itself."""

        def __repr__(self) -> str:
            return "own"

    assert repr(Own()) == "own"
    assert Own() == Own()


def test_the_options_are_such() -> None:
    assert RunOptions() == RunOptions()
    assert RunOptions().request((b"true",)) == Request((b"true",))
