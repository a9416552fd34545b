"""Each way of `ksmrun ab` to see that a copy is ready, with real copies."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from ports import free_port

from ksmrun.experiment.start import start_copies
from ksmrun.experiment.turn_run import Running
from ksmrun.launch.fleet import Fleet
from ksmrun.model.experiment import Arm, ExperimentPlan, Ready

# Each says that it is about to be ready by a file in its own folder.
BEGIN = "import pathlib, socket, sys, time; pathlib.Path('begun').touch(); "
SERVES_TCP = (
    f"{BEGIN}server = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(99)"
)
SERVES_UDP = (
    f"{BEGIN}server = socket.socket(type=socket.SOCK_DGRAM); "
    "server.bind(('127.0.0.1', int(sys.argv[1]))); time.sleep(99)"
)
CREATES = f"{BEGIN}pathlib.Path('here').touch(); time.sleep(99)"
PRINTS = f"{BEGIN}print('ready', flush=True); time.sleep(99)"


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("tcp", "{port}", SERVES_TCP),
        ("tcp", "127.0.0.1:{port}", SERVES_TCP),
        ("udp", "{port}", SERVES_UDP),
        ("file", "{dir}/here", CREATES),
        ("cmd", "test -f {dir}/here", CREATES),
        ("stdout", "^ready$", PRINTS),
    ],
    ids=["tcp", "tcp-address", "udp", "file", "cmd", "stdout"],
)
def test_waits_for_every_copy(tmp_path: Path, kind: str, value: str, code: str) -> None:
    port = free_port(2)
    command = (sys.executable, "-c", code, f"{{port:{port}}}")
    ready_after(tmp_path, command, Ready(kind, value, timeout_seconds=180))
    assert len(list(tmp_path.glob("*/begun"))) == 2


def test_waits_for_some_time(tmp_path: Path) -> None:
    assert ready_after(tmp_path, ("sleep", "99"), Ready("after", "0.2", 1.0)) >= 0.2


def ready_after(folder: Path, command: tuple[str, ...], ready: Ready) -> float:
    """Start two copies; return the seconds from the start of the last until all were ready."""
    plan = ExperimentPlan(command, 2, 1, (), ready, stagger_seconds=0)
    with Fleet() as fleet, (folder / "samples").open("w") as samples:
        turn = Running(plan, fleet, samples, lambda *_: None)
        copies = start_copies(turn, Arm("off", (), ("--merge=off",)), folder)
        fleet.check_alive()
        return time.monotonic() - copies[-1].monotonic_seconds
