"""Placeholders, and the order of turns."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.experiment.order import turns
from ksmrun.experiment.placeholders import Instance, expand, first_port
from ksmrun.experiment.store import create, load_plan
from ksmrun.model.errors import KsmrunError
from ksmrun.model.experiment import Arm, ExperimentPlan, Ready

COPY = Instance(3, "on", "/tmp/x")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("--port={port:31000}", "--port=31003"),
        ("{port}", "31003"),
        ("w{i}-{arm}", "w3-on"),
        ("{dir}/log", "/tmp/x/log"),
        ("{{i}} {{{i}}}", "{i} {3}"),
        ("plain $HOME %i", "plain $HOME %i"),
        ("{", "{"),
        ("{I} {a b}", "{I} {a b}"),
    ],
)
def test_placeholders(word: str, expected: str) -> None:
    assert expand(word, COPY, 31000) == expected


@pytest.mark.parametrize("word", ["{}", "{x}", "{i:3}", "{ports}", "{arm:}"])
def test_unknown_ones_are_refused(word: str) -> None:
    with pytest.raises(KsmrunError, match="there is no placeholder"):
        expand(word, COPY, 31000)


def test_ports() -> None:
    assert first_port(["a", "--port={port:31000}", "{port}"]) == 31000
    assert first_port(["a", "{port}"]) is None
    for words in (["{port:1}", "{port:2}"], ["{port:0}"], ["{port:x}"], ["{port:70000}"]):
        with pytest.raises(KsmrunError):
            first_port(words)
    with pytest.raises(KsmrunError, match="no first port"):
        expand("{port}", COPY, None)
    with pytest.raises(KsmrunError, match="leaves no port for copy"):
        expand("{port}", COPY, 65534)


@given(st.text(st.characters(exclude_characters="{}")))
def test_other_text_is_left_alone(word: str) -> None:
    assert expand(word, COPY, None) == word


@given(st.integers(2, 5), st.integers(1, 20))
def test_turns_are_fair(arms: int, rounds: int) -> None:
    names = [f"arm{index}" for index in range(arms)]
    found = turns(names, rounds)
    assert len(found) == rounds
    assert all(sorted(order) == names for order in found)
    whole = turns(names, 2 * arms)
    for place in (0, -1):
        assert set(Counter(order[place] for order in whole).values()) == {2}


ODD: list[dict[str, Any]] = [
    {"copies": "x"},
    {"rounds": 1.5},
    {"command": None},
    {"command": []},
    {"command": [5]},
    {"arms": []},
    {"arms": [{"name": 5, "options": [], "launcher_options": []}]},
    {"arms": [{"name": "a"}]},
    {"tunables": 5},
    {"load": 7},
    {"hold_seconds": "long"},
    {"ready": {"kind": 1, "value": 2, "timeout_seconds": 3}},
    {"metrics": [{}]},
    {"more": 1},
]


@pytest.mark.parametrize("change", ODD, ids=str)
def test_plans_that_are_odd(tmp_path: Path, change: dict[str, Any]) -> None:
    """Unusual plans, as a disk error or an editor makes them."""
    arms = (Arm("a", ()), Arm("b", ()))
    plan = ExperimentPlan(("x",), 2, 1, arms, Ready("after", "1", 1.0))
    create(tmp_path, plan, {})
    assert load_plan(tmp_path) == plan
    file = tmp_path / "experiment.json"
    data = json.loads(file.read_text())
    file.write_text(json.dumps({**data, "plan": {**data["plan"], **change}}))
    with pytest.raises(KsmrunError, match=r"is damaged|by another version"):
        load_plan(tmp_path)
