"""A daemon's client is named before it starts, and starts anyway; with a real tmux."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import wait_until

from ksmrun.facts.process import read_ksm_stat

LAUNCHER = Path("/usr/local/libexec/ksmrun/ksmrun-exec")
NEW = ("tmux", "-L", "kt", "new-session", "-d", "-s")
Tmux = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tmux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tmux]:
    """Run a command where tmux has its own folder; end its server."""
    environment = {name: value for name, value in os.environ.items() if name != "TMUX"}
    environment["TMUX_TMPDIR"] = str(tmp_path_factory.mktemp("t"))

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    yield run
    run("tmux", "-L", "kt", "kill-server")


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the messages of `ksmrun run`, without the launcher's about KSM being off."""
    return [line for line in done.stderr.splitlines() if line.startswith("ksmrun: ")]


def pane_merges(tmux: Tmux, session: str) -> bool | None:
    shown = tmux("tmux", "-L", "kt", "list-panes", "-t", session, "-F", "#{pane_pid}")
    pid = Path("/proc") / shown.stdout.strip()
    wait_until(lambda: (pid / "comm").read_text() == "sleep\n")
    return read_ksm_stat(pid).merge_any


def test_a_server_that_runs(tmux: Tmux, ksmrun: str) -> None:
    assert tmux(*NEW, "first", "sleep 100").returncode == 0
    done = tmux(ksmrun, "run", "--verify", "--", *NEW, "game", "sleep 101")
    assert done.returncode == 0
    (line,) = said(done)
    assert "tmux is a client: the tmux server that already runs at " in line
    assert "--verify has nothing to check" in line
    assert f"{LAUNCHER} --" in line
    assert "verified: PID" not in done.stderr
    assert pane_merges(tmux, "game") is False
    quiet = tmux(ksmrun, "run", "--quiet", "--", *NEW, "quiet", "sleep 101")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    strict = tmux(ksmrun, "run", "--require", "--", *NEW, "strict", "sleep 101")
    assert strict.returncode == 125
    assert "not started" in strict.stderr
    assert tmux("tmux", "-L", "kt", "has-session", "-t", "strict").returncode == 1
    unmerged = tmux(ksmrun, "run", "--merge=off", "--", *NEW, "unmerged", "sleep 101")
    assert (unmerged.returncode, said(unmerged)) == (0, [])

    checked = tmux(ksmrun, "check", "--json", "--", *NEW, "game", "sleep 101")
    assert checked.returncode == 1
    assert '"item": "client"' in checked.stdout
    # As in LinuxGSM's preexecutable: the launcher is part of what the server starts.
    inside = f"{ksmrun} run -- sleep 102"
    done = tmux(ksmrun, "run", "--", *NEW, "inside", inside)
    assert (done.returncode, said(done)) == (0, [])
    assert pane_merges(tmux, "inside") is True


def test_a_server_that_it_starts(tmux: Tmux, ksmrun: str) -> None:
    done = tmux(ksmrun, "run", "--", *NEW, "game", "sleep 101")
    assert (done.returncode, said(done)) == (0, [])
    assert pane_merges(tmux, "game") is True
    # What a merged server starts merges too.
    again = tmux(ksmrun, "run", "--", *NEW, "again", "sleep 101")
    assert (again.returncode, said(again)) == (0, [])
    assert pane_merges(tmux, "again") is True
    assert '"item": "client"' not in tmux(ksmrun, "check", "--json", "--", *NEW, "more").stdout


@pytest.mark.own_pids
@pytest.mark.parametrize("merged", [False, True], ids=["plain", "merged"])
def test_a_daemon_that_merges_hands_it_on(
    tmux: Tmux, ksmrun: str, tmp_path: Path, merged: bool
) -> None:
    """As supervisord does if it was started by `ksmrun run`; a stand-in with its name."""
    program = tmp_path / "supervisord"
    shutil.copy("/bin/sleep", program)
    client = tmp_path / "supervisorctl"
    client.write_text("#!/bin/sh\nexit 7\n")
    client.chmod(0o755)
    words = [ksmrun, "run", "--"] if merged else []
    with subprocess.Popen([*words, program, "100"], stderr=subprocess.DEVNULL) as daemon:
        try:
            comm = Path(f"/proc/{daemon.pid}/comm")
            wait_until(lambda: comm.read_text() == "supervisord\n")
            done = tmux(ksmrun, "run", "--", str(client), "start", "game")
        finally:
            daemon.kill()
    assert done.returncode == 7
    warned = [line for line in said(done) if "supervisord starts the program" in line]
    assert len(warned) == (0 if merged else 1)
