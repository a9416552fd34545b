"""Folders that ksmrun makes: modes under every umask, and what is not its own to make."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksmrun.facts.launcher import cache_folder, write_cache
from ksmrun.host.layout_keys import keys_folder, make_master_key
from ksmrun.host.owned_files import write_ours
from ksmrun.host.record import own_state_folder
from ksmrun.model.errors import KsmrunError
from ksmrun.support.folders import make_folder

UMASKS = (0, 0o022, 0o077, 0o177, 0o777)
BOOT = "0" * 36


@pytest.fixture(params=UMASKS, ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_no_folder_is_writable_for_others_or_useless_for_its_owner(
    tmp_path: Path, umask: int
) -> None:
    make_folder(tmp_path / "a/b", 0o755)
    assert mode_of(tmp_path / "a") == 0o755 & ~umask | 0o700
    assert mode_of(tmp_path / "a/b") == 0o755
    make_folder(tmp_path / "a/b", 0o700)
    assert mode_of(tmp_path / "a/b") == 0o755, "it was there"
    assert os.umask(umask) == umask


def test_what_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link", "file/below"):
        with pytest.raises(OSError, match=r"File exists|Not a directory"):
            make_folder(tmp_path / name)


@pytest.mark.usefixtures("umask")
def test_state_of_a_launch_is_safe_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(tmp_path / "state"))
    keys, cache = tmp_path / "run/layout", tmp_path / f"cache/probe-{BOOT}-x"
    key = make_master_key(keys).file
    assert make_master_key(keys).file.read_bytes() == key.read_bytes()
    write_cache(cache, "text")
    assert cache.read_text() == "text"
    # Others read what is beside the keys, such as the state of the trust domains.
    assert [mode_of(each) for each in (keys.parent, keys, key)] == [0o755, 0o700, 0o600]
    assert mode_of(cache.parent) == 0o755


def test_a_drop_in_s_folder_is_for_its_owner_to_write(tmp_path: Path, umask: int) -> None:
    file = tmp_path / "web.service.d/50-ksmrun.conf"
    write_ours(file, "text\n")
    assert mode_of(file.parent) == 0o755 & ~umask | 0o700


def test_a_launch_makes_no_home_and_no_runtime_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("KSMRUN_STATE_DIR", raising=False)
    monkeypatch.delenv("KSMRUN_LAYOUT_DIR", raising=False)
    missing = str(tmp_path / "missing")
    monkeypatch.setenv("HOME", missing)
    assert cache_folder() is None
    assert own_state_folder() is None
    monkeypatch.setenv("XDG_RUNTIME_DIR", missing)
    assert cache_folder() is None
    with pytest.raises(KsmrunError, match="XDG_RUNTIME_DIR names none"):
        keys_folder()
    (tmp_path / "missing").mkdir()
    assert cache_folder() == tmp_path / "missing/ksmrun"
    assert keys_folder() == tmp_path / "missing/ksmrun/layout"
