"""A layout key that was deleted is noticed, and one that was rotated is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ksmrun.host.key_memory import FOLDERS_MAX, key_lost_at, seen_key


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.booleans()), max_size=12))
def test_each_change_is_noticed_once(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    keys: list[tuple[bytes, bool]],
) -> None:
    place = tmp_path_factory.mktemp("place")
    folder = place / "keys"
    folder.mkdir()
    (folder / "master.key").touch()
    with monkeypatch.context() as patched:
        patched.setenv("KSMRUN_STATE_DIR", str(place / "state"))
        before, is_lost = None, False
        for key, is_meant in keys:
            changed = before is not None and key != before
            assert seen_key(folder, key, is_meant=is_meant) == (changed and not is_meant)
            is_lost = is_lost if key == before else changed and not is_meant
            assert (key_lost_at(folder) is not None) == is_lost
            before = key
        (folder / "master.key").unlink()
        assert (key_lost_at(folder) is not None) == bool(keys)


def test_it_is_bounded_and_needs_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(state))
    for number in range(FOLDERS_MAX + 9):
        assert not seen_key(tmp_path / str(number), b"key")
    assert (state / "layout-keys.json").read_text().count(str(tmp_path)) == FOLDERS_MAX
    (state / "layout-keys.json").write_text("{")
    assert not seen_key(tmp_path / "1", b"other") and key_lost_at(tmp_path / "1") is None
    monkeypatch.setenv("KSMRUN_STATE_DIR", "/proc/none")
    assert not seen_key(tmp_path / "1", b"other")
