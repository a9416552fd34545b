"""Place and content of the record of host changes, which is on disk in time."""

from __future__ import annotations

import json
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemas import RECORD

from ksmrun.host.record import (
    ANY_VALUE,
    WRITTEN_MAX,
    Change,
    Record,
    current_boot_id,
    drop,
    load,
    locked,
    own_state_folder,
    save,
    state_folder,
)
from ksmrun.model.errors import KsmrunError
from ksmrun.support.safefile import replace_file

NUMBERS = st.integers(0, 10**19).map(str)
WRITTEN = st.lists(st.one_of(NUMBERS, st.sampled_from(["none", "scan-time", ANY_VALUE])))
# One of each kind that may be restored.
PATHS = st.sampled_from(
    [
        "sys/kernel/mm/ksm/pages_to_scan",
        "sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none",
        "proc/sys/vm/max_map_count",
    ]
)
BOOT_IDS = st.text("0123456789abcdef-", max_size=36)
CHANGES = st.builds(Change, PATHS, NUMBERS, WRITTEN.map(tuple))
RECORDS = st.builds(Record, BOOT_IDS, st.lists(CHANGES).map(tuple))


@pytest.mark.slow
@given(RECORDS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_saved_is_loaded(tmp_path: Path, record: Record) -> None:
    file = tmp_path / "a/b/host.json"
    save(file, record)
    assert load(file) == record
    assert [each.name for each in file.parent.iterdir()] == ["host.json"]
    drop(file)
    drop(file)
    assert load(file) is None


def test_the_file_as_others_read_it(tmp_path: Path) -> None:
    """Written by an older ksmrun, or undone by a newer one."""
    file = tmp_path / "host.json"
    save(file, Record("boot", (Change("sys/run", "0", ("1", "2")),)))
    text = file.read_text()
    assert json.loads(text) == {
        "schema": RECORD,
        "boot_id": "boot",
        "changes": [{"path": "sys/run", "before": "0", "written": ["1", "2"]}],
    }
    assert text.endswith("}\n") and len(text.splitlines()) > 5, "people read it too"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 50).map(str)), max_size=150))
def test_what_is_written_again_and_again(writes: list[tuple[str, str]]) -> None:
    record = Record("boot")
    for number, (path, value) in enumerate(writes):
        record = record.with_written(path, f"before {number}", value)
    assert record.boot_id == "boot"
    assert [change.path for change in record.changes] == list(dict.fromkeys(p for p, _ in writes))
    for change in record.changes:
        values = [value for path, value in writes if path == change.path]
        first = next(number for number, (path, _) in enumerate(writes) if path == change.path)
        assert change.before == f"before {first}"
        # Each once, by its last write; beyond the limit only the latest.
        latest = list(dict.fromkeys(reversed(values)))[:WRITTEN_MAX]
        assert list(change.written) == latest[::-1]


def test_where_any_value_is_ours_no_other_is_needed() -> None:
    record = Record("boot").with_written("a", "0", ANY_VALUE).with_written("a", "1", "2")
    assert record.changes == (Change("a", "0", (ANY_VALUE,)),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting property name"),
        (json.dumps({"schema": RECORD, "changes": []}), "boot_id"),
        (json.dumps({"schema": RECORD, "boot_id": "x", "changes": [{"path": 1}]}), "changes"),
        pytest.param("[" * 100_000, "it is nested too deeply", id="nested"),
    ],
)
def test_a_damaged_record_is_not_undone_by_guesses(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "host.json"
    file.write_text(text)
    with pytest.raises(KsmrunError) as caught:
        load(file)
    assert f"{file} is damaged (" in caught.value.what and said in caught.value.what
    assert "delete that file" in caught.value.todo


@pytest.mark.parametrize("text", ['{"schema": "ksmrun-record-2"}', "3", "[]", "{}"])
def test_a_record_of_another_version(tmp_path: Path, text: str) -> None:
    file = tmp_path / "host.json"
    file.write_text(text)
    with pytest.raises(KsmrunError, match=f"its schema is not {RECORD}"):
        load(file)


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff")
    for name, said in {"folder": "cannot read {}: ", "binary": r"{} is damaged \("}.items():
        with pytest.raises(KsmrunError, match=said.format(tmp_path / name)) as caught:
            load(tmp_path / name)
        assert "delete that file" in caught.value.todo
    inside = tmp_path / "binary" / "host.json"
    with pytest.raises(KsmrunError, match=f"cannot write {inside}: .*; nothing was ch") as caught:
        save(inside, Record("boot"))
    assert "KSMRUN_STATE_DIR" in caught.value.todo
    with (
        pytest.raises(KsmrunError, match=rf"cannot open {inside}\.lock: ") as caught,
        locked(inside),
    ):
        pass
    assert "KSMRUN_STATE_DIR" in caught.value.todo


def test_one_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "state/host.json"
    with locked(file) as first, locked(file, wait=False) as second:
        assert (first, second) == (True, False)
        with locked(file.with_name("other.json"), wait=False) as other:
            assert other
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), locked(file, wait=False) as alone:
            assert alone
            raise ZeroDivisionError


def test_the_boot(tmp_path: Path) -> None:
    assert current_boot_id(tmp_path) == ""
    file = tmp_path / "proc/sys/kernel/random/boot_id"
    file.parent.mkdir(parents=True)
    file.write_text("1-2\n")
    assert current_boot_id(tmp_path) == "1-2"


@pytest.mark.parametrize(
    ("uid", "variables", "own"),
    [
        (0, {}, "/var/lib/ksmrun"),
        (0, {"HOME": "/root", "XDG_STATE_HOME": "/x"}, "/var/lib/ksmrun"),
        (1, {"HOME": "/usr"}, "/usr/.local/state/ksmrun"),
        (1, {"HOME": "/usr", "XDG_STATE_HOME": "/x"}, "/x/ksmrun"),
        (1, {"HOME": "/usr", "XDG_STATE_HOME": "relative"}, "/usr/.local/state/ksmrun"),
        (1, {"HOME": "/usr", "XDG_STATE_HOME": ""}, "/usr/.local/state/ksmrun"),
        (1, {"HOME": "relative"}, None),
        (1, {"HOME": "/nonexistent/a"}, None),
        (1, {}, None),
        (1, {"HOME": "/usr", "KSMRUN_STATE_DIR": "/s"}, "/s"),
        (0, {"KSMRUN_STATE_DIR": "/s"}, "/s"),
        (0, {"KSMRUN_STATE_DIR": ""}, "/var/lib/ksmrun"),
    ],
)
def test_folders(
    monkeypatch: pytest.MonkeyPatch, uid: int, variables: dict[str, str], own: str | None
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    for name in ("HOME", "XDG_STATE_HOME", "KSMRUN_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert own_state_folder() == (None if own is None else Path(own))
    assert state_folder() == Path(variables.get("KSMRUN_STATE_DIR") or "/var/lib/ksmrun")


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o666])
def test_a_replaced_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    """Its mode is as requested, whatever the umask is.

    The disk has the content before it has the name, so that after a power cut there is the old file
    or the new one; then the name.
    """
    file = tmp_path / "file"
    file.write_bytes(b"old")
    synced: list[tuple[str, bytes]] = []
    real_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        assert path == tmp_path or path.read_bytes() == b"new", "nothing is left in a buffer"
        assert path == tmp_path or stat.S_IMODE(path.stat().st_mode) == mode
        synced.append(("folder" if path == tmp_path else "content", file.read_bytes()))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    before = os.umask(0o077)
    try:
        replace_file(file, b"new", mode)
    finally:
        os.umask(before)
    assert synced == [("content", b"old"), ("folder", b"new")]
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert file.read_bytes() == b"new" and list(tmp_path.iterdir()) == [file]


def test_one_after_the_other(tmp_path: Path) -> None:
    """Who waits does not get a lock that its holder has just removed."""
    file, rounds = tmp_path / "count.json", 50
    file.write_text("0")

    def count() -> None:
        for _ in range(rounds):
            with locked(file):
                before = int(file.read_text())
                time.sleep(0)
                file.write_text(str(before + 1))

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(count) for _ in range(4)]:
            each.result()
    assert int(file.read_text()) == 4 * rounds
    assert [each.name for each in tmp_path.iterdir()] == [file.name]
