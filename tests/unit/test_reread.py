"""The monitor's cheap second look at a process, held to the readers that it stands in for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import prctl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.facts.process import parse_ksm_stat, read_anonymous, read_ksm_stat
from ksmrun.facts.reread import (
    STAT_SECONDS,
    Raw,
    cannot_merge,
    merges_not,
    read_anonymous_bytes,
    read_raw,
)
from ksmrun.facts.stat import read_program
from ksmrun.model.watch import MapCount, Watched, WatchState
from ksmrun.watch.alerts import AlertBook
from ksmrun.watch.conditions import conditions
from ksmrun.watch.config import Config

from .test_conditions import MIB, of_host, of_process

OWN = Path("/proc/self")


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def own() -> Raw:
    with opened(OWN) as folder:
        found = read_raw(folder, None, 0.0)
    assert found is not None
    return found


def test_it_reads_what_the_others_read() -> None:
    stat, raw = read_program(OWN), own()
    assert raw.program[0] == f"{os.getpid()} ({stat.name}".encode()
    assert tuple(map(int, raw.program[1:])) == (stat.start_ticks, *stat.image)
    assert parse_ksm_stat(raw.ksm_stat.decode()) == read_ksm_stat(OWN)
    with opened(OWN) as folder:
        anonymous = read_anonymous_bytes(folder)
    assert anonymous == pytest.approx(read_anonymous(OWN), rel=0.05)


def test_a_new_name_is_a_change_and_more_memory_is_seen() -> None:
    before, name = own(), prctl.get_name()
    assert own() == before
    prctl.set_name("a) R 1 (b")
    try:
        renamed = own()
        assert renamed.program != before.program
        assert renamed.program[1:] == before.program[1:]
    finally:
        prctl.set_name(name)
    memory = bytearray(64 * MIB)
    assert own() == before and own().virtual_bytes >= before.virtual_bytes + len(memory)


def test_an_exec_is_a_change() -> None:
    code = "import os; os.read(0, 1); os.execv('/bin/cat', ['cat'])"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        with opened(Path(f"/proc/{process.pid}")) as folder:
            before = read_raw(folder, None, 0.0)
            process.stdin.write(b"!cat\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"cat\n"
            after = read_raw(folder, before, 1.0)
            assert before is not None and after is not None and before.program != after.program
            process.stdin.close()
            process.wait()
            with pytest.raises(ProcessLookupError):
                read_raw(folder, None, 0.0)


def test_a_zombie_needs_a_closer_look() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with opened(Path(f"/proc/{process.pid}")) as folder:
        assert read_raw(folder, None, 0.0) is None
        assert read_anonymous_bytes(folder) is None
    assert not merges_not(process.pid)
    process.wait()


def test_with_the_same_records_stat_waits(tmp_path: Path) -> None:
    stat = (OWN / "stat").read_text()
    (tmp_path / "stat").write_text(stat)
    scanned = "ksm_rmap_items 20\nksm_merging_pages 2\n"
    (tmp_path / "ksm_stat").write_text(scanned)
    with opened(tmp_path) as folder:
        before = read_raw(folder, None, 0.0)
        (tmp_path / "stat").write_text(stat.replace("(", "(new-", 1))
        assert read_raw(folder, before, STAT_SECONDS - 1) is before
        for now, records in ((STAT_SECONDS, "20"), (1.0, "21"), (1.0, "0")):
            (tmp_path / "ksm_stat").write_text(scanned.replace("20", records))
            after = read_raw(folder, before, now)
            assert before is not None and after is not None and after.program != before.program
        (tmp_path / "ksm_stat").write_text(scanned.replace("20", "0"))
        none = read_raw(folder, None, 0.0)
        (tmp_path / "stat").write_text(stat)
        assert read_raw(folder, none, 1.0) != none, "without records nothing else shows an exec"
        (tmp_path / "ksm_stat").write_text("ksm_rmap_items 20\n")
        assert read_raw(folder, None, 0.0) is None, "before 6.4"


def test_only_the_kernel_says_that_a_process_does_not_merge() -> None:
    if read_ksm_stat(OWN).merge_any is not None:
        assert merges_not(os.getpid()) == (read_ksm_stat(OWN).enabled_by is None)
    with pytest.raises(OSError, match="No such file"):
        merges_not(1 << 22)


def test_the_shims_thread_may_be_about_to_mark() -> None:
    words = [sys.executable, "-c", "import threading, time\n%s\nprint(flush=True); input()"]
    for code, is_alone in (("", True), ("threading.Thread(target=input).start()", False)):
        command = [*words[:2], words[2] % code]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline()
            assert cannot_merge(process.pid) == (is_alone and merges_not(process.pid))
            process.communicate(b"\n\n")


processes = st.builds(
    of_process,
    enabled_by=st.sampled_from(["prctl", None]),
    profit_bytes=st.none() | st.integers(-2 * MIB, MIB),
    count=st.none()
    | st.builds(MapCount, st.integers(0, 1000), st.just(990.0), st.sampled_from([0.0, 9.0])),
)


@given(st.lists(st.tuples(processes, st.sampled_from([None, True, False])), max_size=12))
def test_what_is_left_out_changes_no_alert(seen: list[tuple[Watched, bool | None]]) -> None:
    """The same alerts begin and end as if each condition were told in each sample."""
    book, whole, config = AlertBook(), AlertBook(), Config()
    for process, boosts in seen:
        states = [WatchState(of_host(max_map_count=1000), (process,), boosts=boosts)]
        standing = {each.key for each in book.standing}
        assert book.update(conditions(states, config, standing)) == whole.update(
            conditions(states, config)
        )
        assert book.standing == whole.standing
