"""A program whose main thread has ended: /proc/PID says zombie, and its other threads go on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from compiled import compile_to
from waiting import wait_until

from ksmrun.facts.identity import pinned, read_identity, read_stat
from ksmrun.observe.processes import read_again, read_process

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
            wait_until(lambda: int((thread / "statm").read_text().split()[1]) * 4096 > BYTES)
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
