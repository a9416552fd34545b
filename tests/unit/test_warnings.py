"""Warnings of turns and of rounds: each appears only if its cause does."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ksmrun.experiment.turn_run import refuse_full_host
from ksmrun.experiment.warnings import Seen, warnings
from ksmrun.model.errors import KsmrunError
from ksmrun.model.experiment import FleetSample
from ksmrun.observe.members import Member, lost
from ksmrun.observe.other_mergers import Other
from ksmrun.report.conditions import maps, scan_bytes_per_second, scan_rate
from ksmrun.report.results import Saved
from ksmrun.report.warnings import warnings as report_warnings

MIB = 1 << 20
QUIET = FleetSample(
    elapsed_seconds=0.0,
    phase="before",
    processes=2,
    rss_bytes=100 * MIB,
    cpu_seconds=0.0,
    minor_faults=0,
    major_faults=0,
    mem_available_bytes=1000 * MIB,
    swap_used_bytes=0,
    pages_shared=0,
    pages_sharing=0,
    zero_pages=0,
    full_scans=0,
    general_profit_bytes=0,
    cow_ksm=0,
    ksmd_cpu_seconds=0.0,
    memory_pressure_seconds=0.0,
    cpu_pressure_seconds=0.0,
    pss_bytes=100 * MIB,
    pss_anonymous_bytes=90 * MIB,
    swap_bytes=0,
    huge_bytes=0,
    maps_max=100,
)
HOLD = replace(QUIET, phase="hold", elapsed_seconds=10.0)
END = replace(HOLD, elapsed_seconds=20.0)
SERVER = Member(7, 1000, "server", (1, 2))


def found(seen: Seen, end: FleetSample = END, *, settled: bool | None = True) -> list[str]:
    notes = warnings([QUIET, HOLD, end], seen, settled=settled, settle_seconds_max=30)
    assert all(what and todo for what, todo in notes)
    return [what for what, _ in notes]


def test_nothing_to_say() -> None:
    few = Seen(others=[Other(1, "small", 255)], merged_bytes=[10 * MIB, 9 * MIB], max_map_count=200)
    assert found(few) == []
    assert found(few, settled=None) == []
    assert found(Seen(is_to_merge=False, merges=False)) == []
    kept_apart = Seen(merged_bytes=[40 * MIB], left_bytes=8 * MIB, smart_scan=True)
    for none in (
        found(replace(kept_apart, smart_scan=False)),
        found(replace(kept_apart, left_bytes=2 * MIB)),
        found(replace(kept_apart, left_bytes=None)),
    ):
        assert none == []
    assert "smart_scan" not in str(found(kept_apart, settled=False))


@pytest.mark.parametrize(
    ("seen", "end", "said"),
    [
        (
            Seen(others=[Other(5, "qemu", 2560)]),
            END,
            "other programs merge .* qemu .PID 5., 10 MiB",
        ),
        (Seen(others=[Other(n, "x", 256) for n in range(9)]), END, "x .PID 2., 6 more, 9 MiB"),
        (Seen(lost=[(SERVER, True)]), END, r"server \(PID 7\) restarted while measuring"),
        (Seen(lost=[(SERVER, False)]), END, r"server \(PID 7\) ended while measuring"),
        (Seen(merged_bytes=[2 * MIB, 80 * MIB]), END, "unequally, from 2 MiB to 80 MiB"),
        (
            Seen(merged_bytes=[40 * MIB], left_bytes=8 * MIB, smart_scan=True),
            END,
            "8 MiB of 48 MiB that could merge have not: smart_scan",
        ),
        (Seen(ksm_is_on=False, merges=False), END, "KSM was switched off"),
        (Seen(merges=False), END, "no process of this arm is enabled"),
        (Seen(max_map_count=140), END, "100 maps of 140"),
        (Seen(), replace(END, swap_used_bytes=2 * MIB), "the host swapped"),
        (Seen(), replace(END, swap_bytes=2 * MIB), "the host swapped"),
        (Seen(), replace(END, memory_pressure_seconds=2.0), "waited for memory 20%"),
        (Seen(), replace(END, huge_bytes=45 * MIB), "50% of the memory lies in huge pages"),
        (Seen(), replace(END, processes=3), "number of processes changed .* from 2 to 3"),
    ],
)
def test_each_cause(seen: Seen, end: FleetSample, said: str) -> None:
    (what,) = found(seen, end)
    assert re.search(said, what), what


def test_not_settled() -> None:
    assert found(Seen(), settled=False) == ["merging had not settled after 30 s"]


def test_who_is_lost() -> None:
    helper = Member(8, 1000, "helper", (1, 2))
    before = {7: SERVER, 8: helper}
    assert lost(before, before) == []
    assert lost(before, {**before, 9: Member(9, 2000, "server", (1, 2))}) == []
    assert lost(before, {8: helper}) == [(SERVER, False)]
    assert lost(before, {8: helper, 9: Member(9, 2000, "server", (3, 4))}) == [(SERVER, True)]
    # The same process after an exec.
    assert lost(before, {8: helper, 7: replace(SERVER, image=(3, 4))}) == [(SERVER, True)]
    # One replaced two.
    twin = replace(SERVER, pid=6)
    new = {9: Member(9, 2000, "server", (3, 4))}
    assert [again for _, again in lost({6: twin, 7: SERVER}, new)] == [True, False]


def test_a_full_host() -> None:
    refuse_full_host(QUIET, 2000 * MIB)
    refuse_full_host(replace(QUIET, mem_available_bytes=None), 1 << 60)
    with pytest.raises(
        KsmrunError, match="only 1000 MiB are available on this host, so the fleet was stopped"
    ):
        refuse_full_host(QUIET, 40_000 * MIB)


def saved(on: list[float], merged: list[float], **plan: Any) -> Saved:
    rounds = {
        "off": tuple({"pss_bytes": 100.0 * MIB, "maps_max": 90.0} for _ in on),
        "on": tuple(
            {"pss_bytes": size * MIB, "merged_bytes": share * MIB, "maps_max": 95.0 + size}
            for size, share in zip(on, merged, strict=True)
        ),
    }
    host = {"max_map_count": 1000, "page_bytes": 4096}
    plan = {"primary": "pss_bytes", "stagger_seconds": 1.3, "copies": 4, **plan}
    return Saved(Path("x"), host, plan, ("off", "on"), rounds, ())


def test_rounds_together() -> None:
    steady = [80.0] * 6
    assert report_warnings(saved([20, 21, 20, 19, 20, 22], steady)) == []
    ((noisy, _),) = report_warnings(saved([20, 40, 20, 19, 20, 60], steady))
    assert noisy == "on: PSS is noisy, from 19 MiB to 60 MiB in 6 rounds"
    ((varying, _),) = report_warnings(saved([20] * 6, [80, 80, 80, 80, 20, 80]))
    assert "differs from round to round, from 20 to 80 MiB: start seeds" in varying
    ((close, todo),) = report_warnings(saved([20] * 6, steady, stagger_seconds=0.05))
    assert "started 0.05 s apart" in close
    assert todo == "repeat it with --stagger 1.3"
    assert report_warnings(saved([20] * 6, steady, stagger_seconds=0.05, copies=1)) == []


def test_maps_against_their_limit() -> None:
    texts = [each.text for each in maps(saved([20, 30], [1, 1]))]
    assert texts == ["off: at most 90 of 1000 (9.0%)", "on: at most 125 of 1000 (12.5%)"]


@pytest.mark.parametrize(
    ("ksm", "text", "size"),
    [
        ({"pages_to_scan": 100, "sleep_millisecs": 20}, "100 pages each 20 ms", 20_480_000),
        ({"pages_to_scan": 100, "sleep_millisecs": 0}, "100 pages at a time without a rest", None),
        (
            {"pages_to_scan": 100, "sleep_millisecs": 20, "advisor_mode": "scan-time"},
            "a rate that its advisor chose (scan-time)",
            None,
        ),
        ({}, None, None),
    ],
)
def test_scan_rate(ksm: dict[str, Any], text: str | None, size: float | None) -> None:
    host = {"ksm": ksm, "page_bytes": 4096}
    assert scan_rate(host) == text
    assert scan_bytes_per_second(host) == size
