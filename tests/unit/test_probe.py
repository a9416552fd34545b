"""The result of `ksmrun-exec --probe` is used completely, or not at all."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from ksmrun.facts.launcher import parse_probe
from ksmrun.model.errors import EXIT_OWN_FAILURE, KsmrunError

from .test_plan import GOOD, OLD

# Only if the prctl is unavailable.
OPTIONAL = ("prctl_obstacle_what", "prctl_obstacle_todo")
ANSWER = json.loads(json.dumps(asdict(OLD)))


@pytest.mark.parametrize("probe", [GOOD, OLD])
def test_an_answer(probe: object) -> None:
    assert parse_probe(json.dumps(asdict(probe))) == probe  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ANSWER)
def test_an_answer_of_another_version(name: str) -> None:
    """A missing field is not None, which would describe the kernel."""
    text = json.dumps({key: value for key, value in ANSWER.items() if key != name})
    if name in OPTIONAL:
        assert getattr(parse_probe(text), name) is None
        return
    with pytest.raises(KsmrunError, match=f"cannot read the output .*{name}") as caught:
        parse_probe(text)
    assert caught.value.exit_code == EXIT_OWN_FAILURE
    assert "have the same version" in caught.value.todo


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"ksm_stat_fields": 3}'])
def test_no_answer(text: str) -> None:
    with pytest.raises(KsmrunError, match="cannot read the output"):
        parse_probe(text)
