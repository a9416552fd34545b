"""A program whose main thread has ended: /proc/PID shows a zombie, and its other threads go on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from compiled import compile_to
from folders import let_all_in
from waiting import wait_until

from ksmrun.facts.identity import pinned, read_identity
from ksmrun.facts.maps import count_maps, running_peak
from ksmrun.facts.process import (
    has_marked_memory,
    read_anonymous,
    read_ksm_stat,
    read_memory,
    read_rss,
)
from ksmrun.facts.select import matching
from ksmrun.facts.smaps import by_kind, read_vmas
from ksmrun.facts.stat import command_words, read_stat, thread_with_memory
from ksmrun.host.attach_state import is_running
from ksmrun.model.launch import TargetFacts
from ksmrun.observe.fleet import FleetSampler, _cheap, _with_costly
from ksmrun.observe.members import members
from ksmrun.observe.processes import read_again, read_process
from ksmrun.options.monitor import Auto
from ksmrun.watch.config import Config
from ksmrun.watch.scanner import Scanner

from .conftest import reachable

SOURCE = Path(__file__).parent / "programs/late.c"
BYTES = 8 << 20


@pytest.fixture
def late(launcher: str, tmp_path: Path) -> Iterator[int]:
    compile_to(tmp_path / "late", ["gcc", "-O0", "-pthread", SOURCE])
    with subprocess.Popen([launcher, "--quiet", "--", tmp_path / "late"]) as process:
        try:
            folder = Path(f"/proc/{process.pid}")
            wait_until(lambda: read_stat(folder).state == "Z")
            (thread,) = (task for task in (folder / "task").iterdir() if task.name != folder.name)
            wait_until(lambda: (read_memory(thread).pss_anonymous_bytes or 0) > BYTES)
            yield process.pid
        finally:
            process.kill()


def test_it_is_listed(late: int) -> None:
    found = read_process(late, costly=True)
    assert found is not None and found.enabled_by == "prctl"
    assert (found.rss_bytes or 0) > BYTES and (found.pss_bytes or 0) > BYTES and found.maps
    again = read_again(found)
    assert again is not None and again.identity == found.identity


def test_its_identity_is_the_process(late: int) -> None:
    with pinned(late) as folder:
        identity = read_identity(folder, late)
        assert identity.start_ticks == read_stat(folder).start_ticks
    assert identity.pid == late and identity.name == "late"
    assert (identity.executable or "").endswith("/late") and "/late" in identity.command


def test_every_reader_reads_a_living_thread(late: int) -> None:
    """Its counters, PSS, maps and command line contain real values."""
    folder = Path(f"/proc/{late}")
    thread = Path(f"/proc/{thread_with_memory(late)}")
    assert thread != folder
    # ksmd may have seen it, as tests beside this one switch KSM on.
    found = read_ksm_stat(folder)
    assert found.merge_any is not False and found.rmap_items is not None
    assert (read_rss(folder) or 0) > BYTES and (read_anonymous(folder) or 0) > BYTES
    assert (read_memory(folder).pss_anonymous_bytes or 0) > BYTES
    assert count_maps(folder) == count_maps(thread) > 0
    assert has_marked_memory(folder)
    assert sum(kind.size_bytes for kind in by_kind(read_vmas(folder)).values()) > BYTES
    assert command_words(folder)[0].endswith("/late")
    assert late in matching(" ".join(command_words(folder)))
    assert is_running(late, read_stat(folder).start_ticks)


def test_the_fleet_counts_it(late: int) -> None:
    now = FleetSampler().complete([late], "hold")
    assert (now.pss_anonymous_bytes or 0) > BYTES
    assert _cheap([late], "hold", 0.0).rss_bytes > BYTES
    assert _with_costly(_cheap([late], "hold", 0.0), [late]).pss_anonymous_bytes or BYTES < 0
    (member,) = members([late]).values()
    assert all(member.image)
    target = TargetFacts(path=str(Path(f"/proc/{thread_with_memory(late)}/exe").readlink()))
    peak = running_peak(target)
    assert peak is not None and peak.maps > 0 and (peak.data_bytes or 0) > BYTES


def test_the_monitor_shows_it(late: int) -> None:
    scanner = Scanner(Config(auto=Auto.ALWAYS))
    try:
        (found,) = (each for each in scanner.sample().processes if each.identity.pid == late)
    finally:
        scanner.close()
    assert (found.anonymous_bytes or 0) > BYTES and found.maps and found.program


def test_its_owner_reads_it_too(
    launcher: str, ksmrun: str, nobody: tuple[str, ...], tmp_path: Path
) -> None:
    """The main thread's files belong to root then."""
    let_all_in(tmp_path)
    compile_to(tmp_path / "late", ["gcc", "-O0", "-pthread", SOURCE])
    command = [*nobody, reachable(launcher, tmp_path), "--quiet", "--", str(tmp_path / "late")]
    with subprocess.Popen(command) as process:
        try:
            folder = Path(f"/proc/{process.pid}")
            wait_until(lambda: read_stat(folder).state == "Z")
            listed = [*nobody, ksmrun, "ps", "--json"]
            done = subprocess.run(listed, capture_output=True, text=True, check=False, cwd="/")
            assert f'"pid": {process.pid},' in done.stdout, done
        finally:
            process.kill()


def test_commands_look_at_it(late: int, ksmrun: str) -> None:
    def run(*words: str) -> str:
        done = subprocess.run([ksmrun, *words], capture_output=True, text=True, check=False)
        assert "has ended" not in done.stdout + done.stderr, done
        return done.stdout

    assert f"PID {late}" in run("explain", str(late), "--seconds", "0.1")
    estimate = json.loads(run("estimate", str(late), "--json"))
    assert json.dumps(estimate).count("anonymous") > 0
    assert "1 detached" in run("detach", str(late))
    assert read_process(late) is None
    assert "1 attached" in run("attach", str(late))
    assert read_process(late) is not None


def test_one_that_has_ended_is_none(ksmrun: str) -> None:
    with subprocess.Popen(["true"]) as process:
        wait_until(lambda: read_stat(Path(f"/proc/{process.pid}")).state == "Z")
        assert read_process(process.pid) is None
        done = subprocess.run([ksmrun, "explain", str(process.pid)], capture_output=True, text=True)
        assert done.returncode != 0 and "has ended" in done.stderr
