"""Files that earlier versions wrote are read by this one; `ksmrun help compatibility` promises it.

Each version keeps what it wrote in written/VERSION, which is never changed after its release:
KSMRUN_RENEW=1 pytest unit/test_written_before.py makes this version's.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ksmrun import __version__
from ksmrun.experiment import store
from ksmrun.facts.launcher import launcher_path
from ksmrun.facts.wraps import find_wraps
from ksmrun.host import (
    attach_state,
    boot,
    boot_unit,
    key_memory,
    layout_keys,
    map_peaks,
    record,
    standing,
)
from ksmrun.model.launch import MapPeak
from ksmrun.model.wrap import DROP_IN, LAUNCHER
from ksmrun.options.monitor import Auto
from ksmrun.report.pool import pooled
from ksmrun.report.results import load, samples_of
from ksmrun.watch import config
from ksmrun.wrap.dropin import written_fingerprint

from .writers import BOOT, NOW, PID, PLAN, QUADLETS, TICKS, UNITS, write_all

WRITTEN = Path(__file__).with_name("written")
VERSIONS = sorted(each.name for each in WRITTEN.iterdir())
# Written by people; a release adds what it is the first to understand.
BY_HAND = ("config.toml", "oci.json")


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(params=VERSIONS)
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy with the owner and the modes that the files have on a host."""
    root = tmp_path / "host"
    shutil.copytree(WRITTEN / request.param, root)
    for path in root.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600 if "layout" in path.parts else 0o644)
    monkeypatch.setenv("KSMRUN_STATE_DIR", "state")
    monkeypatch.chdir(root)
    return root


def test_this_versions_files_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of what is written is a change for those who upgrade, and for those who go back."""
    write_all(tmp_path, monkeypatch)
    kept = WRITTEN / __version__
    if os.environ.get("KSMRUN_RENEW"):
        for name, content in contents(tmp_path).items():
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            (kept / name).write_bytes(content)
    by_hand = {name: (kept / name).read_bytes() for name in BY_HAND}
    assert contents(kept) == contents(tmp_path) | by_hand


def test_state(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (attach_state, standing):
        monkeypatch.setattr(module, "current_boot_id", lambda _: BOOT)
    found = record.load(host / "state/record.json")
    assert found is not None and found.boot_id == BOOT
    assert {change.path.rpartition("/")[2]: change.before for change in found.changes} == {
        "run": "0",
        "advisor_mode": "none",
        "pages_to_scan": "100",
        "max_map_count": "65530",
    }
    peak = map_peaks.remembered(host / "state/peaks.json", "/usr/bin/server")
    assert peak == MapPeak("seen before", 31000, 64 << 20)
    for name in ("attached.json", "detached.json"):
        assert attach_state.attached(host / "state" / name) == {PID: TICKS}
    monitor = standing.read_alerts(host / "state")
    assert monitor is not None and monitor.alerts[0][0] == "ksmd-off"


def test_layout_keys(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade keeps the layout of programs that run: their next copy joins them."""
    monkeypatch.setattr(key_memory, "current_boot_id", lambda _: BOOT)
    folder = Path("layout")
    assert layout_keys.group_key(folder, "games") == (folder / "units/games.key").read_bytes()
    assert not key_memory.seen_key(folder)
    assert key_memory.key_lost_at(folder) == NOW
    del host


def test_results(host: Path) -> None:
    saved = load(host / "ab")
    assert saved.arms == ("off", "on")
    assert pooled([saved]).rounds["on"][0]["p99"] == 20.5
    assert len(samples_of(saved, "on")[0]) == 1
    assert store.load_plan(host / "ab") == PLAN
    assert store.load_ksm(host / "ab")["advisor_mode"] == "none"


def test_units(host: Path) -> None:
    wraps = {wrap.name: wrap for wrap in find_wraps(host)}
    assert set(wraps) == {"wrapper.service", "memory-ksm.service", "web.container"}
    assert all(wrap.ours and wrap.remove for wrap in wraps.values())
    assert boot.is_enabled(host)
    assert boot_unit.is_installed(host)
    for name in ("wrapper.service", "memory-ksm.service"):
        assert written_fingerprint((host / UNITS / f"{name}.d" / DROP_IN).read_text())
    assert (host / QUADLETS / "web.container.d" / DROP_IN).read_text().count("Annotation=")


def test_the_launcher_takes_the_options_of_drop_ins(host: Path) -> None:
    """A drop-in outlives upgrades: nobody writes it again."""
    text = (host / UNITS / "wrapper.service.d" / DROP_IN).read_text()
    (line,) = (each for each in text.splitlines() if each.startswith(f"ExecStart={LAUNCHER}"))
    words = shlex.split(line.removeprefix(f"ExecStart={LAUNCHER}"))
    options = words[: words.index("--")]
    done = subprocess.run([launcher_path(), *options, "--", "true"], stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr


def test_configuration_of_ksmrun_oci(host: Path) -> None:
    """Its complaint would name the file."""
    (host / "config.json").write_text('{"process": {"args": ["true"], "env": []}}')
    runtime = launcher_path().with_name("ksmrun-oci")
    options = (f"--ksmrun-config={host}/oci.json", "--ksmrun-runtime=/bin/echo")
    command = (runtime, *options, "create", "--bundle", host, "x")
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout.startswith("create ")
    assert "config.json" in said.stderr
    assert "oci.json" not in said.stderr


def test_configuration_of_the_monitor(host: Path) -> None:
    given: Any = config.load(host / "config.toml", {})
    found = (given.auto, given.interval_seconds, given.map_reserve)
    assert found == (Auto.ALWAYS, 60.0, 0.25)
