"""Results of ksmrun-attach, and the messages about them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ksmrun.model.attach import Candidate
from ksmrun.model.process import Identity
from ksmrun.plan.attach import OUTCOMES, outcome, who

SOURCE = Path(__file__).parents[2] / "native" / "attach" / "main.c"


def test_each_outcome_has_words() -> None:
    table = re.search(r"names\[OUTCOMES\] = \{(.*?)\};", SOURCE.read_text(), re.DOTALL)
    assert table is not None
    names = set(re.findall(r'"([a-z0-9-]+)"', table[1]))
    assert names == {"done", "refused", *OUTCOMES}


@pytest.mark.parametrize(
    "name", ["frozen", "late", "pending", "unreadable", "refused", "unheard-of"]
)
def test_words_say_what_and_what_to_do(name: str) -> None:
    what, todo = outcome(name, 1)
    assert what and todo and what != todo


def test_a_process_is_named_with_its_start() -> None:
    """The PID alone may belong to another process by the time it is stopped."""
    fields = dict.fromkeys(Identity.__dataclass_fields__)
    identity = Identity(**(fields | {"pid": 12, "start_ticks": 345}))  # type: ignore[arg-type]
    assert who(Candidate(identity, "S", False, 0, None, 0, None)) == "12:345"
