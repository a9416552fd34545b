"""From what is wanted of ksmd to tunables, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.host.others import boot_files, tuner_name
from ksmrun.model import KsmFacts, KsmrunError
from ksmrun.model.tuning import Intent, Memory, ScanCost, TunePlan
from ksmrun.plan.tuning import RATE_MAX, tuned

from .test_plan import HOST

GIB_PAGES = (1 << 30) // 4096
OLD: dict[str, int | str] = {
    "run": 1,
    "pages_to_scan": 100,
    "sleep_millisecs": 20,
    "use_zero_pages": 0,
    "max_page_sharing": 256,
    "merge_across_nodes": 1,
}
NEW: dict[str, int | str] = OLD | {
    "smart_scan": 1,
    "advisor_mode": "none",
    "advisor_max_cpu": 70,
    "advisor_target_scan_time": 200,
    "advisor_min_pages_to_scan": 500,
    "advisor_max_pages_to_scan": 30000,
}


def planned(
    values: dict[str, int | str], memory: Memory, seconds_per_page: float, intent: Intent
) -> TunePlan:
    host = replace(HOST, ksm=KsmFacts(True, 4096, values))
    return tuned(host, memory, ScanCost(seconds_per_page, "measured"), intent)


def settings(plan: TunePlan) -> dict[str, str]:
    return {knob.name: knob.then for knob in plan.knobs}


@given(
    gib=st.floats(0.1, 512),
    cost=st.floats(2e-7, 1e-5),
    share=st.floats(0.01, 0.99),
    values=st.sampled_from([OLD, NEW]),
)
def test_share_of_a_core(
    gib: float, cost: float, share: float, values: dict[str, int | str]
) -> None:
    """What a batch takes, and the pass that follows from it, as mm/ksm.c works."""
    memory = Memory(int(gib * GIB_PAGES), 8)
    plan = planned(values, memory, cost, Intent(cpu_share_max=share))
    found = settings(plan)
    pages = int(found["pages_to_scan"])
    assert (found["sleep_millisecs"], found["run"]) == ("20", "1")
    busy = pages * cost
    assert busy / (busy + 0.02) <= share * 1.0001
    if pages < RATE_MAX:
        # One page more would be over it.
        assert (busy + cost) / (busy + cost + 0.02) >= share * 0.9999
    assert plan.cpu_share == pytest.approx(busy / (busy + 0.02))
    assert plan.pass_seconds == pytest.approx(memory.mergeable_pages / pages * (busy + 0.02))


@given(gib=st.floats(1, 512), cost=st.floats(2e-7, 1e-5), seconds=st.floats(1, 3600))
def test_time_of_a_pass(gib: float, cost: float, seconds: float) -> None:
    """Kept, or refused with a time that is not."""
    memory = Memory(int(gib * GIB_PAGES), 8)
    intent = Intent(pass_seconds=seconds)
    try:
        plan = planned(OLD, memory, cost, intent)
    except KsmrunError as error:
        assert memory.mergeable_pages * cost > seconds
        least = float(error.todo.partition("--pass-time ")[2].partition("s")[0])
        planned(OLD, memory, cost, Intent(pass_seconds=least))
    else:
        pages = int(settings(plan)["pages_to_scan"])
        if pages < RATE_MAX:
            # A rate is whole pages.
            assert plan.pass_seconds == pytest.approx(seconds, rel=1.5 / pages + 0.01)


def test_advisor() -> None:
    """For the time of a pass, in an order in which the kernel takes it; with its own least."""
    plan = planned(NEW, Memory(100 * GIB_PAGES, 8), 1e-6, Intent(120, 0.5))
    found = settings(plan)
    assert list(found)[-2:] == ["advisor_mode", "run"]
    assert found["advisor_target_scan_time"] == "120"
    assert found["advisor_max_cpu"] == "50"
    assert plan.pass_seconds == pytest.approx(120)
    assert plan.cpu_share == pytest.approx(26.2144 / 120)
    # It takes a tenth of a core where less would do, so not for those who want less.
    assert planned(NEW, Memory(GIB_PAGES, 8), 1e-6, Intent(60, 0.5)).cpu_share == 0.1
    found = settings(planned(NEW, Memory(GIB_PAGES, 8), 1e-6, Intent(60, 0.05)))
    assert found["advisor_mode"] == "none"
    # No advisor where a share is asked for, and none of its knobs before 6.8.
    found = settings(
        planned(NEW | {"advisor_mode": "scan-time"}, Memory(9, 2), 1e-6, Intent(None, 0.2))
    )
    assert next(iter(found)) == "advisor_mode"
    assert found["advisor_mode"] == "none"
    assert not any(
        "advisor" in name for name in settings(planned(OLD, Memory(9, 2), 1e-6, Intent(9.0)))
    )


def test_changes_only() -> None:
    plan = planned(NEW, Memory(GIB_PAGES, 8), 1e-6, Intent(cpu_share_max=0.5))
    assert [knob.name for knob in plan.changes] == ["pages_to_scan"]
    off = planned(NEW | {"run": 0}, Memory(GIB_PAGES, 8), 1e-6, Intent(cpu_share_max=0.5))
    assert off.changes[-1].name == "run"


def test_nothing_to_scan() -> None:
    with pytest.raises(KsmrunError, match="nothing merges on this host now"):
        planned(OLD, Memory(0, 0), 1e-6, Intent(60.0))
    assert planned(NEW, Memory(0, 0), 1e-6, Intent(60.0)).pass_seconds == 0


@pytest.mark.parametrize(
    ("values", "memory", "host", "said"),
    [
        ({}, Memory(9, 8, zero_share=0.05), {}, "5% of the memory looked at are pages of zeros"),
        ({}, Memory(9, 2), {}, "with 2 processes smart_scan"),
        ({"stable_node_dups": 20_000}, Memory(9, 8), {}, "20000 pages are kept twice"),
        ({}, Memory(9, 8), {"numa_nodes": 2}, "across 2 NUMA nodes"),
        (
            {},
            Memory(9, 8),
            {"thp_enabled": "always", "khugepaged_max_ptes_shared": 256},
            "khugepaged joins ranges with up to 256",
        ),
    ],
)
def test_advice(
    values: dict[str, int | str], memory: Memory, host: dict[str, object], said: str
) -> None:
    """Where there is cause, and nowhere else."""
    quiet = replace(HOST, ksm=KsmFacts(True, 4096, NEW), numa_nodes=1, thp_enabled="madvise")
    intent, cost = Intent(cpu_share_max=0.2), ScanCost(1e-6, "measured")
    assert tuned(quiet, Memory(9, 8, 0.001), cost, intent).advice == ()
    loud = replace(quiet, ksm=KsmFacts(True, 4096, NEW | values), **host)  # type: ignore[arg-type]
    ((what, todo),) = tuned(loud, memory, cost, intent).advice
    assert said in what
    assert "sudo ksmrun host set" in todo


def test_files_that_set_ksm_at_boot(tmp_path: Path) -> None:
    for name, text in (
        ("etc/tmpfiles.d/ksm.conf", "w /sys/kernel/mm/ksm/run - - - - 1\n"),
        ("etc/systemd/system/fast.service", "ExecStart=sh -c 'echo 9 >/sys/kernel/mm/ksm/run'\n"),
        ("etc/tmpfiles.d/ours.conf", "# Written by `ksmrun host on`\nw /sys/kernel/mm/ksm/run"),
        ("etc/systemd/system/other.service", "ExecStart=true\n"),
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "etc/systemd/system/folder.service").mkdir()
    found = [each.what.split()[0] for each in boot_files(tmp_path)]
    assert found == ["/etc/systemd/system/fast.service", "/etc/tmpfiles.d/ksm.conf"]


@pytest.mark.parametrize(
    ("name", "words", "found"),
    [
        ("bash", ["/bin/bash", "/usr/sbin/ksmtuned"], "ksmtuned"),
        ("ksmtuned", ["/bin/bash", "/usr/sbin/ksmtuned"], "ksmtuned"),
        ("virt-handler", ["/usr/bin/virt-handler", "--port"], "virt-handler"),
        ("uksmd", ["uksmd"], "uksmd"),
        ("vim", ["vim", "/usr/sbin/ksmtuned"], None),
        ("grep", ["grep", "ksmtuned"], None),
        ("bash", ["-bash"], None),
        ("bash", ["bash", "-c", "ksmtuned"], None),
    ],
)
def test_who_else_tunes(name: str, words: list[str], found: str | None) -> None:
    assert tuner_name(name, words) == found
