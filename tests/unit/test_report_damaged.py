"""Saved experiments with one wrong value: a report, or an error message."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from volume import volume

from ksmrun.commands.report import report
from ksmrun.experiment.store import load_plan
from ksmrun.model.errors import KsmrunError
from ksmrun.options.report import ReportOptions

from .test_report import Save, save  # noqa: F401

PLAIN: tuple[Any, ...] = (None, "x", -1, 1.5, [], {}, True, 10**400)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([10**400, -(10**30), 5e-324, 1e308, 0, -1, [], {}, [[]], [{}], {"": {}}])
    | st.sampled_from(["", "\0", "\ud800", "$x^", "../../x", "nan", "x" * 5000, "\u2028", "on"])
    | st.text(max_size=20)
)
VALUES = st.recursive(
    SCALARS,
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3)
    ),
    max_leaves=4,
)


@pytest.fixture
def tree(save: Save) -> Path:  # noqa: F811
    folder = save("whole", rounds=2, tunables={"run": "1"}, load="./load", hold_tunables={"a": "1"})
    file = folder / "experiment.json"
    data = json.loads(file.read_text())
    data["host"]["ksm"] = {"pages_to_scan": 100, "sleep_millisecs": 20, "advisor_mode": "none"}
    file.write_text(json.dumps(data))
    for result in (folder / "rounds").glob("*.json"):
        data = json.loads(result.read_text())
        data["metrics"] |= {"merged_bytes": 97.0, "mergeable_bytes": 100.0}
        data["warnings"] = [["it is noisy", "be quiet"]]
        result.write_text(json.dumps(data))
    return folder


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Return the place of each value in a document."""
    for key in list(data) if isinstance(data, dict) else range(len(data)):
        yield data, key
        if isinstance(data[key], dict | list):
            yield from places(data[key])


def spoilt(tree: Path, copy: Path, number: int, value: Any) -> None:
    """Return a copy in which the value of this number (modulo) is another."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(tree, copy)
    files = sorted(each for each in copy.rglob("*.json*") if each.is_file())
    file = files[number % len(files)]
    lines = file.read_text().split("\n") if file.suffix == ".jsonl" else [file.read_text()]
    # The last line of the samples is truncated.
    index = number // len(files) % len([line for line in lines if line.endswith(("}", "}\n"))])
    data = json.loads(lines[index])
    found = list(places(data))
    holder, key = found[number // len(files) % len(found)]
    holder[key] = value
    lines[index] = json.dumps(data)
    file.write_text("\n".join(lines))


def says_or_refuses(folder: Path, **options: Any) -> None:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            report(ReportOptions(folders=(folder,), **options))
    except KsmrunError as error:
        assert error.what and error.todo


@pytest.mark.slow
@settings(max_examples=volume(400), suppress_health_check=list(HealthCheck))
@given(number=st.integers(0, 5000), value=VALUES)
@example(number=0, value=10**400)
def test_any_value_may_be_another(tree: Path, tmp_path: Path, number: int, value: Any) -> None:
    copy = tmp_path / "copy"
    spoilt(tree, copy, number, value)
    says_or_refuses(copy)
    says_or_refuses(copy, as_json=True)
    with contextlib.suppress(KsmrunError):
        load_plan(copy)


@pytest.mark.slow
@settings(max_examples=volume(50), suppress_health_check=list(HealthCheck))
@given(number=st.integers(0, 5000), value=VALUES)
def test_pictures_of_it(tree: Path, tmp_path: Path, number: int, value: Any) -> None:
    copy = tmp_path / "copy"
    spoilt(tree, copy, number, value)
    says_or_refuses(copy, html=tmp_path / "a.html", png=tmp_path / "a.png")


@pytest.mark.slow
def test_every_place_and_kind(tree: Path, tmp_path: Path) -> None:
    """All simple changes: those that an editor, a disk or another version makes."""
    copy = tmp_path / "copy"
    files = sorted(each for each in tree.rglob("*.json") if each.is_file())[:2]
    for at, file in enumerate(files):
        count = len(list(places(json.loads(file.read_text()))))
        for place in range(count):
            for value in PLAIN:
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(tree, copy)
                other = copy / files[at].relative_to(tree)
                data = json.loads(other.read_text())
                holder, key = list(places(data))[place]
                holder[key] = value
                other.write_text(json.dumps(data))
                says_or_refuses(copy)
