"""A layout key that was deleted is noticed, and one that was rotated is not."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from volume import volume

from ksmrun.host.key_memory import FOLDERS_MAX, key_lost_at, rotating, seen_key
from ksmrun.host.layout_keys import group_key, make_master_key, rotate
from ksmrun.model.errors import KsmrunError


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
    with monkeypatch.context() as patched:
        patched.setenv("KSMRUN_STATE_DIR", str(place / "state"))
        before, is_lost = None, False
        for key, is_meant in keys:
            changed = before is not None and key != before
            with rotating(folder) if is_meant else nullcontext():
                (folder / "master.key").write_bytes(key)
            assert seen_key(folder) == (changed and not is_meant)
            is_lost = is_lost if key == before else changed and not is_meant
            assert (key_lost_at(folder) is not None) == is_lost
            before = key
        (folder / "master.key").unlink(missing_ok=True)
        assert (key_lost_at(folder) is not None) == bool(keys)


def test_it_is_bounded_and_needs_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(state))
    for number in range(FOLDERS_MAX + 9):
        assert not seen_key(folder_with(tmp_path / str(number), b"key"))
    assert (state / "layout-keys.json").read_text().count(str(tmp_path)) == FOLDERS_MAX
    (state / "layout-keys.json").write_text("{")
    folder = folder_with(tmp_path / "1", b"other")
    assert not seen_key(folder) and key_lost_at(folder) is None
    with rotating(folder):
        pass
    monkeypatch.setenv("KSMRUN_STATE_DIR", "/proc/none")
    assert not seen_key(folder)
    with rotating(folder):
        pass


def folder_with(folder: Path, key: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "master.key").write_bytes(key)
    return folder


def test_launches_during_rotations_do_not_take_the_key_for_a_lost_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do they find the folder without a key, and restore that of an earlier login."""
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(tmp_path / "state"))
    keys = tmp_path / "keys"
    make_master_key(keys)
    ended = threading.Event()
    missed: list[str] = []

    def launch() -> None:
        while not ended.is_set():
            if not (keys / "master.key").exists():
                missed.append("no key")
            if make_master_key(keys).replaces:
                missed.append("lost")

    with ThreadPoolExecutor(2) as pool:
        launches = [pool.submit(launch) for _ in range(2)]
        seen = set()
        for _ in range(volume(200)):
            rotate(keys, None)
            seen.add((keys / "master.key").read_bytes())
        ended.set()
        for each in launches:
            each.result()
    assert not missed
    assert len(seen) == volume(200), "each is another"


def test_a_rotation_that_the_next_login_would_undo_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr("ksmrun.host.layout_keys._ends_with_login", lambda _: True)
    monkeypatch.setattr("ksmrun.host.layout_keys.remember", lambda *_: False)
    keyring: list[bytes | None] = [None]
    monkeypatch.setattr("ksmrun.host.layout_keys.recall", lambda _: keyring[0])
    for group in (None, "games"):
        keyring[0] = None
        rotate(tmp_path, group)
        keyring[0] = b"k" * 32
        before = group_key(tmp_path, "games")
        with pytest.raises(KsmrunError, match="rotated for this login only"):
            rotate(tmp_path, group)
        assert group_key(tmp_path, "games") != before, "it is in use until then"
