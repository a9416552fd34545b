"""CPUs, nice value and policy of ksmd: lists of CPUs, what is accepted, and what a plan sets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.facts.ksmd import (
    CPUS_MAX,
    cpu_list,
    online_cpus,
    parse_cpus,
    read_cpus,
    read_policy,
    read_scheduling,
)
from ksmrun.host.record import Change, Record, load, save
from ksmrun.host.recorded import THREAD_NAMES, checked
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.plan.tuning import thread_knobs

CPUS = st.frozensets(st.integers(0, CPUS_MAX - 1), min_size=1, max_size=40)


@given(CPUS)
def test_a_list_of_cpus_reads_as_it_was_written(cpus: frozenset[int]) -> None:
    text = cpu_list(cpus)
    assert parse_cpus(text) == cpus
    assert parse_cpus(",".join(map(str, sorted(cpus, reverse=True)))) == cpus


@given(st.text("0123456789-, x", max_size=12))
def test_any_text_is_a_list_or_none(text: str) -> None:
    found = parse_cpus(text)
    assert found is None or (found and parse_cpus(cpu_list(found)) == found)


NO_LISTS = ("", ",", "1,", "-1", "3-2", "1-", "1-2-3", "²", "0-99999", "8192")


@pytest.mark.parametrize("text", NO_LISTS)
def test_these_are_no_lists(text: str) -> None:
    assert parse_cpus(text) is None


def test_the_kernel_writes_lists_so() -> None:
    online = online_cpus(Path("/"))
    assert online and os.sched_getaffinity(0) <= online
    own = read_cpus(os.getpid())
    assert own is not None and parse_cpus(own) is not None
    assert cpu_list(parse_cpus(own) or ()) == own
    assert read_policy(os.getpid()) in ("normal", "batch", "idle")


def online(root: Path, text: str) -> Path:
    file = root / "sys/devices/system/cpu/online"
    file.parent.mkdir(parents=True)
    file.write_text(f"{text}\n")
    return root


def test_only_cpus_that_are_online(tmp_path: Path) -> None:
    root = online(tmp_path, "0-3,6")
    assert checked(root, "ksmd/cpus", "6,1,0", "0-127") == "0-1,6"
    with pytest.raises(UsageError, match=r"ksmd/cpus=4 .* not online; give some of 0-3,6"):
        checked(root, "ksmd/cpus", "4", "0-127")
    with pytest.raises(UsageError, match="not a list of CPUs"):
        checked(root, "ksmd/cpus", "all", "0-127")


def test_what_the_thread_accepts(tmp_path: Path) -> None:
    assert checked(tmp_path, "ksmd/nice", "+19", "5") == "19"
    for wrong in ("20", "-21", "low", "1.5"):
        with pytest.raises(UsageError, match="give one from -20 to 19"):
            checked(tmp_path, "ksmd/nice", wrong, "5")
    assert checked(tmp_path, "ksmd/policy", "idle", "normal") == "idle"
    with pytest.raises(UsageError, match="give normal, batch, idle"):
        checked(tmp_path, "ksmd/policy", "fifo", "normal")
    with pytest.raises(UsageError, match="real-time policy fifo"):
        checked(tmp_path, "ksmd/policy", "idle", "fifo")


def test_a_nice_value_needs_the_policy_that_heeds_it() -> None:
    now = {"ksmd/cpus": "0-1", "ksmd/nice": "5", "ksmd/policy": "idle"}
    knobs = thread_knobs(now, "0", 19, idle=False)
    assert [(knob.name, knob.now, knob.then) for knob in knobs] == [
        ("ksmd/cpus", "0-1", "0"),
        ("ksmd/policy", "idle", "normal"),
        ("ksmd/nice", "5", "19"),
    ]
    assert [knob.then for knob in thread_knobs(now, None, None, idle=True)] == ["idle"]
    assert thread_knobs(now, None, None, idle=False) == ()


@given(st.dictionaries(st.sampled_from(THREAD_NAMES), CPUS.map(cpu_list), min_size=1))
def test_a_record_keeps_them(befores: dict[str, str]) -> None:
    befores = {name: "5" if name == "ksmd/nice" else text for name, text in befores.items()}
    file = Path(f"/tmp/ksmrun-record-{os.getpid()}.json")
    record = Record("", tuple(Change(name, text, ("0",)) for name, text in befores.items()))
    try:
        save(file, record)
        assert load(file) == record
    finally:
        file.unlink()


def test_a_record_names_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "host.json"
    save(file, Record("", (Change("ksmd/../run", "1", ("0",)),)))
    with pytest.raises(KsmrunError, match="damaged"):
        load(file)


def test_scheduling_names_cpus_only_where_some_are_missing(tmp_path: Path) -> None:
    pid, listed = os.getpid(), read_cpus(os.getpid())
    online = tmp_path / "sys/devices/system/cpu/online"
    online.parent.mkdir(parents=True)
    for text, cpus in ((f"{listed}\n", None), (f"0-{CPUS_MAX - 1}\n", listed), ("", None)):
        online.write_text(text)
        found = read_scheduling(pid, tmp_path)
        assert found is not None and found.cpus == cpus
        assert (found.nice, found.policy) == (os.getpriority(os.PRIO_PROCESS, pid), "normal")
    assert read_scheduling(None, tmp_path) is None
    assert read_scheduling(1 << 22, tmp_path) is None
