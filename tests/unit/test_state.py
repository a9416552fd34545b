"""State that ksmrun saved is read back only if it is ours and valid."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schemas import ATTACHED, RECORD

from ksmrun.host.attach_state import attached
from ksmrun.host.exclusive import alone
from ksmrun.host.record import current_boot_id, load
from ksmrun.host.tunables import restore
from ksmrun.model.errors import KsmrunError
from ksmrun.support.shape import misfit
from ksmrun.support.state import read_state

KSM = "sys/kernel/mm/ksm"
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=6,
)


@given(ANY_JSON)
def test_any_value_against_any_shape(value: Any) -> None:
    shapes = (int, float, str, [int], [int, str], {str: int}, {"a": int, "b?": [str]}, (int, None))
    for shape in (*shapes, re.compile("a+")):
        assert isinstance(misfit(value, shape), str)


@pytest.mark.parametrize(
    ("value", "shape", "said"),
    [
        ({"a": {"b": "x"}}, {"a": {"b": int}}, "a.b is not a whole number"),
        ({"a": [1, True]}, {"a": [int]}, "a[1] is not a whole number"),
        ({"a": [1]}, {"a": [int, int]}, "a does not have 2 members"),
        ({}, {"a": int}, "a is missing"),
        ({"a": 10**400}, {"a": float}, "a is not a number"),
        ({"a": "b/../c"}, {"a": re.compile("[a-z]+")}, "a is not of the form [a-z]+"),
        ({"a": 1, "more": 2}, {"a": float, "b?": str}, ""),
    ],
)
def test_what_does_not_fit_is_named(value: Any, shape: Any, said: str) -> None:
    assert misfit(value, shape) == said


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.chmod(0o664), "can be written by others"),
        (lambda file: file.chmod(0o602), "can be written by others"),
        (lambda file: os.chown(file, 4711, 4711), "belongs to UID 4711"),
        (lambda file: file.write_bytes(b"\xff"), "is damaged"),
        (lambda file: file.write_text("[" * 100_000), "is damaged"),
        (lambda file: file.write_text('{"schema": "s", "a": NaN}'), "is damaged"),
        (lambda file: file.write_text('{"schema": "t", "a": 1}'), "was written by another version"),
        (
            lambda file: file.write_text('{"schema": "s", "a": "x"}'),
            "is damaged (a is not a whole number)",
        ),
        (lambda file: file.rename(file.with_name("b")), ""),
    ],
)
def test_a_file_that_is_not_believed(tmp_path: Path, spoil: Any, said: str) -> None:
    file = tmp_path / "state"
    file.write_text('{"schema": "s", "a": 1}')
    assert read_state(file, "s", {"a": int}, "do") == {"schema": "s", "a": 1}
    spoil(file)
    if not said:
        assert read_state(file, "s", {"a": int}, "do") is None
        os.mkfifo(file)
        said = "is not a regular file"
        with pytest.raises(KsmrunError, match=said):
            read_state(file, "s", {"a": int}, "do")
        file.unlink()
        file.symlink_to("b")
    with pytest.raises(KsmrunError) as caught:
        read_state(file, "s", {"a": int}, "do")
    assert said in caught.value.what and caught.value.todo == "do"


FORGED = (
    ("etc/cron.d/x", "* * * * * root true", ["1"]),
    (f"{KSM}/../../../../etc/passwd", "0", ["1"]),
    (f"/{KSM}/run", "0", ["1"]),
    (f"{KSM}/ru\0n", "0", ["1"]),
    ("proc/sys/vm/max_map_count", "abc", ["65530"]),
    ("proc/sys/kernel/core_pattern", "|/tmp/x", ["core"]),
    (f"{KSM}/pages_to_scan", "abc", ["1"]),
    (f"{KSM}/pages_to_scan", 100, ["1"]),
    (f"{KSM}/pages_to_scan", "100\n1", ["1"]),
    (f"{KSM}/pages_to_scan", "100", "*"),
    (f"{KSM}/pages_to_scan", "9" * 5000, ["*"]),
)


@pytest.mark.parametrize(("path", "before", "written"), FORGED)
def test_a_forged_record_writes_nothing(
    tmp_path: Path, path: str, before: object, written: object
) -> None:
    root, file = tmp_path / "root", tmp_path / "host.json"
    for name in (f"{KSM}/pages_to_scan", "etc/cron.d/x", "proc/sys/vm/max_map_count"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("65530" if "max" in name else "1")
    change = {"path": path, "before": before, "written": written}
    file.write_text(json.dumps({"schema": RECORD, "boot_id": "", "changes": [change]}))
    with pytest.raises(KsmrunError, match="is damaged") as caught:
        restore(file, root)
    assert "delete that file" in caught.value.todo
    assert (root / "etc/cron.d/x").read_text() == "1"


@given(value=ANY_JSON, index=st.integers(0, 20))
def test_a_record_with_one_value_changed(
    tmp_path_factory: pytest.TempPathFactory, value: Any, index: int
) -> None:
    """Never a traceback: it is undone, or refused with a message."""
    file = tmp_path_factory.mktemp("record") / "host.json"
    change = {"path": f"{KSM}/run", "before": "0", "written": ["1", "*"]}
    data = {"schema": RECORD, "boot_id": "b-1", "changes": [change]}
    places = list(_places(data))
    holder, key = places[index % len(places)]
    holder[key] = value
    file.write_text(json.dumps(data))
    try:
        load(file)
    except KsmrunError as error:
        assert error.what and error.todo


def _places(data: Any) -> Any:
    for key in data if isinstance(data, dict) else range(len(data)):
        yield data, key
        if isinstance(data[key], dict | list):
            yield from _places(data[key])


@pytest.mark.parametrize("processes", [[], {"1": "x"}, {"1": None}, {"1": 1.5}, 5, None])
def test_attached_that_is_damaged(tmp_path: Path, processes: Any) -> None:
    file = tmp_path / "attached.json"
    boot_id = current_boot_id(Path("/"))
    data = {"schema": ATTACHED, "boot_id": boot_id, "processes": {"7": 9, "x": 3}}
    file.write_text(json.dumps(data))
    assert attached(file) == {7: 9}
    file.write_text(json.dumps({**data, "processes": processes}))
    with pytest.raises(KsmrunError, match="damaged"):
        attached(file)


def test_one_experiment_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "roots"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with alone(folder):
        assert (folder / "ab.lock").stat().st_mode & 0o777 == 0o600, "others cannot hold it"
        assert (folder / "ab.pid").read_text().split()[0] == str(os.getpid())
        with pytest.raises(KsmrunError, match="another experiment is running"), alone(folder):
            pass
    assert not (folder / "ab.pid").exists()
    with alone(folder):
        pass
    # A PID of a process that has ended, or never existed.
    for text in ("1 1\n", "x y\n", "", "99999999 5\n"):
        (folder / "ab.pid").write_text(text)
        with alone(folder):
            pass
