"""Host changes are undone, whenever the change was interrupted. On a tree of plain files."""

from __future__ import annotations

import contextlib
import errno
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmrun.host import boot, recorded, tunables
from ksmrun.host.record import Record, load
from ksmrun.host.tunables import restore, set_tunables
from ksmrun.model.errors import KsmrunError

NAMES = ("run", "pages_to_scan", "sleep_millisecs", "use_zero_pages")


class Host:
    """Copied tree, with a record beside it."""

    def __init__(self, folder: Path, mem_available_kib: int = 8 << 20) -> None:
        self.root = folder / "root"
        self.record = folder / "state" / "host.json"
        self.ksm = self.root / "sys/kernel/mm/ksm"
        self.ksm.mkdir(parents=True)
        for name in NAMES:
            (self.ksm / name).write_text("0\n")
        for counter in ("pages_sharing", "pages_shared"):
            (self.ksm / counter).write_text("0\n")
            (self.ksm / counter).chmod(0o444)
        proc = self.root / "proc/sys/kernel/random"
        proc.mkdir(parents=True)
        (proc / "boot_id").write_text("boot-1\n")
        (self.root / "proc/meminfo").write_text(f"MemAvailable: {mem_available_kib} kB\n")

    def set(self, settings: dict[str, str], force: bool = False) -> list[str]:
        return set_tunables(settings, self.record, self.root, force=force)

    def restore(self, force: bool = False) -> list[str]:
        return restore(self.record, self.root, force=force)

    def values(self) -> dict[str, str]:
        return {name: (self.ksm / name).read_text().strip() for name in NAMES}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_set_and_restore(host: Host) -> None:
    before = host.values()
    assert host.set({"run": "1", "pages_to_scan": "500"}) == [
        "run: 0 -> 1",
        "pages_to_scan: 0 -> 500",
    ]
    host.set({"pages_to_scan": "700"})
    assert host.set({"run": "1"}) == ["run: 1 already"]
    host.restore()
    assert host.values() == before
    assert host.restore() == []


class Killed(BaseException):
    """Stands for kill -9 in a unit test; the real one is in the integration tests."""


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.dictionaries(st.sampled_from(NAMES), st.sampled_from("013457"), min_size=1), max_size=4
    ),
    killed_at=st.integers(0, 12),
    restore_killed_at=st.integers(0, 8),
)
def test_killed_at_any_write(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[dict[str, str]],
    killed_at: int,
    restore_killed_at: int,
) -> None:
    """Before any write to sysfs, while setting and restoring: another restore completes it."""
    host = Host(tmp_path_factory.mktemp("host"))
    before = host.values()
    real_write, countdown = tunables._write, [killed_at]

    def write_or_die(root: Path, path: str, value: str) -> None:
        if countdown[0] == 0:
            raise Killed
        countdown[0] -= 1
        real_write(root, path, value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tunables, "_write", write_or_die)
        try:
            for step in steps:
                host.set(step)
        except Killed:
            pass
        countdown[0] = restore_killed_at
        with contextlib.suppress(Killed):
            host.restore()
    host.restore()
    assert host.values() == before
    assert load(host.record) is None


def test_what_somebody_else_changed_stays(host: Host) -> None:
    host.set({"pages_to_scan": "500", "run": "1"})
    (host.ksm / "pages_to_scan").write_text("900\n")
    lines = host.restore()
    assert host.values()["pages_to_scan"] == "900"
    assert host.values()["run"] == "0"
    assert any("another program has set" in line for line in lines)


def test_after_a_reboot_nothing_is_left_to_do(host: Host) -> None:
    host.set({"run": "1"})
    (host.root / "proc/sys/kernel/random/boot_id").write_text("boot-2\n")
    assert "rebooted" in host.restore()[0]
    assert host.values()["run"] == "1"
    assert host.restore() == []
    # A record of an earlier boot is not continued.
    host.set({"pages_to_scan": "3"})
    record = load(host.record)
    assert record is not None
    assert [change.path for change in record.changes] == ["sys/kernel/mm/ksm/pages_to_scan"]


def test_unmerging_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    host = Host(tmp_path, mem_available_kib=1024)
    (host.ksm / "pages_sharing").chmod(0o644)
    (host.ksm / "pages_sharing").write_text("1000\n")
    with pytest.raises(KsmrunError, match=r"3\.9|4 MiB") as refusal:
        host.set({"run": "2"})
    assert "MemAvailable is 1 MiB" in str(refusal.value)
    assert host.values()["run"] == "0"
    host.set({"run": "2"}, force=True)
    assert host.values()["run"] == "2"


def test_restoring_an_unmerged_host_asks_for_memory_too(tmp_path: Path) -> None:
    host = Host(tmp_path, mem_available_kib=1024)
    (host.ksm / "run").write_text("2\n")
    host.set({"run": "1"})
    (host.ksm / "pages_sharing").chmod(0o644)
    (host.ksm / "pages_sharing").write_text("1000\n")
    with pytest.raises(KsmrunError, match="MemAvailable is 1 MiB"):
        host.restore()
    assert host.values()["run"] == "1"
    host.restore(force=True)
    assert host.values()["run"] == "2"


def test_one_failure_does_not_stop_the_others(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    before = host.values()
    host.set({"pages_to_scan": "3", "sleep_millisecs": "3", "run": "1"})
    real_write = tunables._write

    def refuse(root: Path, path: str, value: str) -> None:
        if path.endswith("sleep_millisecs"):
            raise KsmrunError("refused", "try again")
        real_write(root, path, value)

    with monkeypatch.context() as patch:
        patch.setattr(tunables, "_write", refuse)
        with pytest.raises(KsmrunError, match="not all could be put back: refused"):
            host.restore()
    assert host.values() == {**before, "sleep_millisecs": "3"}
    host.restore()
    assert host.values() == before


def test_unknown_names_and_damaged_records(host: Host) -> None:
    with pytest.raises(KsmrunError, match="no KSM tunable 'bogus'"):
        host.set({"pages_to_scan": "1", "bogus": "1"})
    with pytest.raises(KsmrunError, match="no KSM tunable 'pages_shared'"):
        host.set({"pages_shared": "1"})
    assert host.values()["pages_to_scan"] == "0"
    host.record.parent.mkdir(parents=True, exist_ok=True)
    for text in ("", "{", "[]", json.dumps({"schema": "other"})):
        host.record.write_text(text)
        with pytest.raises(KsmrunError, match="damaged"):
            host.restore()
        with pytest.raises(KsmrunError, match="damaged"):
            host.set({"run": "1"})
        assert host.values()["run"] == "0"


def test_advisor_resets_pages_to_scan(host: Host) -> None:
    """The kernel does that on its own; restore must bring the old number back."""
    (host.ksm / "advisor_mode").write_text("[none] scan-time\n")
    (host.ksm / "pages_to_scan").write_text("700\n")
    before = host.values()
    host.set({"advisor_mode": "scan-time"})
    (host.ksm / "pages_to_scan").write_text("500\n")
    host.restore()
    assert host.values() == before


def test_boot_file(tmp_path: Path) -> None:
    file = tmp_path / boot.FILE
    assert boot.disable(tmp_path) == "not on at boot"
    boot.enable(tmp_path)
    boot.enable(tmp_path)
    assert "w /sys/kernel/mm/ksm/run - - - - 1\n" in file.read_text()
    boot.disable(tmp_path)
    assert not file.exists()
    file.write_text("w /sys/kernel/mm/ksm/run - - - - 1\n")
    for change in (boot.enable, boot.disable):
        with pytest.raises(KsmrunError, match="not written by ksmrun"):
            change(tmp_path)
    assert file.exists()


def test_a_rate_that_is_set_again_and_again() -> None:
    """The record stays small, and contains the present value."""
    found = Record("boot")
    for number in range(1000):
        found = found.with_written("rate", "100", str(number % 700))
    (change,) = found.changes
    assert change.before == "100"
    assert len(change.written) <= 32
    assert change.written[-1] == "299"


@pytest.mark.parametrize("name", ["pages_to_scan", "khugepaged/max_ptes_none"])
def test_a_refusal_shows_the_present_value(
    host: Host, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = host.root / "sys/kernel/mm/transparent_hugepage/khugepaged"
    huge.mkdir(parents=True)
    for file in (host.ksm / "pages_to_scan", huge / "max_ptes_none"):
        file.write_text("123\n")

    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(recorded, "overwrite", refuse)
    with pytest.raises(KsmrunError, match=r"refuses \w+=511 \(now 123\)"):
        host.set({name: "511"})
