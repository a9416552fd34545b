"""Every kind of file that ksmrun keeps, written as this version writes it, with fixed values."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ksmrun.experiment import store
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
from ksmrun.host.owned_files import write_ours
from ksmrun.model.experiment import Arm, ArmResult, ExperimentPlan, FleetSample, Metric, Ready
from ksmrun.model.launch import MapPeak
from ksmrun.model.wrap import DROP_IN, Method, UnitFacts
from ksmrun.wrap import dropin, quadlet

BOOT = "8f3c2b1a-0000-4000-8000-123456789abc"
MASTER = bytes(range(32))
PID, TICKS, NOW = 4711, 815, 1_796_000_000
UNITS, QUADLETS = Path("etc/systemd/system"), Path("etc/containers/systemd")
PLAN = ExperimentPlan(
    command=("./server", "--port", "{port:31000}"),
    copies=8,
    rounds=1,
    arms=(Arm("off", ("--merge=off",)), Arm("on", ("--layout=shared",))),
    ready=Ready("after", "0", 1.0),
    load="./clients {port:31000}",
    metrics=(Metric("p99", "output", "p99: (.*)"),),
    tunables={"pages_to_scan": "5000"},
    hold_tunables={"pages_to_scan": "100"},
)
HOST: dict[str, Any] = {
    **{"ksmrun": "0.1.0", "kernel": "6.18.0", "cpus": 2, "mem_total_bytes": 24 << 30},
    **{"swap_total_bytes": 0, "thp_enabled": "madvise", "max_map_count": 65530},
    **{"page_bytes": 4096, "ksm": {"run": 1, "advisor_mode": "none"}},
    "started": "2026-11-29T00:00:00+00:00",
}
SAMPLE = FleetSample(
    elapsed_seconds=2.5,
    phase="hold",
    processes=8,
    rss_bytes=400 << 20,
    cpu_seconds=1.5,
    minor_faults=9000,
    major_faults=2,
    mem_available_bytes=20 << 30,
    swap_used_bytes=0,
    pages_shared=10,
    pages_sharing=70000,
    zero_pages=None,
    full_scans=12,
    general_profit_bytes=290 << 20,
    cow_ksm=5,
    ksmd_cpu_seconds=2.5,
    memory_pressure_seconds=0.0,
    cpu_pressure_seconds=0.25,
    pss_bytes=51 << 20,
    own={"p99": (20.5,)},
)


def write_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write them below an empty folder, as if it were the root of a host."""
    monkeypatch.setenv("KSMRUN_STATE_DIR", "state")
    monkeypatch.chdir(folder)
    for module in (attach_state, key_memory, standing):
        monkeypatch.setattr(module, "current_boot_id", lambda _: BOOT)
    monkeypatch.setattr(attach_state, "is_running", lambda *_: True)
    monkeypatch.setattr(standing, "read_stat", lambda _: SimpleNamespace(start_ticks=TICKS))
    monkeypatch.setattr(standing, "os", SimpleNamespace(getpid=lambda: PID))
    monkeypatch.setattr(key_memory, "time", SimpleNamespace(time=lambda: NOW))
    _write_state(Path("state"))
    _write_keys(Path("layout"))
    _write_units(Path())
    _write_results(Path("ab"))


def _write_state(state: Path) -> None:
    ksm = "sys/kernel/mm/ksm"
    changed = record.Record(BOOT).with_written(f"{ksm}/run", "0", "1")
    changed = changed.with_written(f"{ksm}/advisor_mode", "none", "scan-time")
    changed = changed.with_written(f"{ksm}/pages_to_scan", "100", record.ANY_VALUE)
    record.save(
        state / "record.json", changed.with_written("proc/sys/vm/max_map_count", "65530", "262144")
    )
    map_peaks.remember_all(state / "peaks.json", {"/usr/bin/server": MapPeak("", 31000, 64 << 20)})
    for name in ("attached.json", "detached.json"):
        attach_state.remember(state / name, {PID: TICKS}, attach=True)
    standing.write_alerts(state, [("ksmd-off", "ksmd is off", "sudo ksmrun host on")])


def _write_keys(folder: Path) -> None:
    """Write a key that was lost once, and rotated once for a group."""
    folder.mkdir(mode=0o700)
    for key in (bytes(32), MASTER):
        (folder / key_memory.MASTER_KEY).unlink(missing_ok=True)
        (folder / key_memory.MASTER_KEY).write_bytes(key)
        (folder / key_memory.MASTER_KEY).chmod(0o600)
        key_memory.seen_key(folder)
    layout_keys.rotate(folder, "games")
    layout_keys.write_group_key(folder, "games", folder / "units/games.key")


def _write_units(root: Path) -> None:
    key = dropin.KeyPlace("games", user=False)
    for method in (Method.WRAPPER, Method.MEMORY_KSM):
        unit = UnitFacts(f"{method}.service", False, (), {"RootDirectory": "/srv"}, ())
        command = "/usr/bin/server --name 'a b' $OPTIONS"
        options = ["--layout=shared", "--layout-scope=tree", "--seeds=own", "--thp=off", "--quiet"]
        text = dropin.render(unit, method, [command], options, key, "")
        write_ours(root / UNITS / f"{unit.name}.d" / DROP_IN, text)
    write_ours(root / UNITS / dropin.KEY_UNIT, dropin.key_unit("/opt/ksmrun/bin/ksmrun", key))
    text = quadlet.render("web.container", key, "", require=True)
    write_ours(root / QUADLETS / "web.container.d" / DROP_IN, text)
    boot.enable(root)
    settings = {"pages_to_scan": "1000", "run": "1"}
    text = boot_unit.unit_text(
        "/opt/ksmrun/bin/ksmrun", settings, "ksmrun host install --max-cpu 20%"
    )
    write_ours(root / boot_unit.FILE, text)


def _write_results(folder: Path) -> None:
    store.create(folder, PLAN, HOST)
    for arm, size in (("off", 349), ("on", 51)):
        metrics = {"pss_bytes": float(size << 20), "p99": 20.5, "maps_max": 80.0}
        warnings = (("smart_scan is on", "sudo ksmrun host set smart_scan=0"),)
        result = ArmResult(
            1, arm, HOST["started"], 1.5, arm == "on", 3.5, 10.0, metrics, 0.01, warnings
        )
        with store.sample_stream(folder, 1, arm) as stream:
            store.write_sample(stream, SAMPLE)
        store.save_result(folder, result)
