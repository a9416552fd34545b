"""The README's first command, at a small size: a real program saves real memory."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from waiting import LAST_RESORT_SECONDS, wait_until

from .conftest import start_equal_programs, stop, value

pytestmark = pytest.mark.host_ksm
SCRIPT = Path(__file__).parents[2] / "examples" / "quickstart.sh"
PROGRAM = SCRIPT.with_suffix(".py")


def test_ddnet_saves_most_of_its_memory() -> None:
    """With 8 copies it measures 85 %; of 3 copies at most two thirds can merge."""
    command = ["sh", str(SCRIPT), "--copies", "3", "--program", "ddnet"]
    # The long run tests its installation.
    environment = {**os.environ, "KSMRUN_VENV": sys.prefix}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"anonymous memory (\d+) -> (\d+) MiB \((\d+)% saved\)", done.stdout)
    assert found is not None, done.stdout
    assert int(found[3]) >= 50
    assert "Traceback" not in done.stderr


def test_killed_in_the_middle(tmp_path: Path) -> None:
    """kill -9 leaves no game server, and restores KSM (which is checked after every test)."""
    command = [sys.executable, str(PROGRAM), "--copies", "2", "--program", "ddnet"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    servers: list[psutil.Process] = []

    def are_started() -> bool:
        servers.clear()
        for child in psutil.Process(process.pid).children(recursive=True):
            # It starts other commands too, which end meanwhile.
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.name().startswith("DDNet"):
                    servers.append(child)
        return len(servers) == 2

    try:
        wait_until(are_started)
    finally:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(servers, timeout=LAST_RESORT_SECONDS)
    assert not alive
    wait_until(lambda: value("run") == "0")


@pytest.mark.usefixtures("ksm_on")
def test_it_names_who_merges_already(launcher: str) -> None:
    programs = start_equal_programs(launcher, 2)
    try:
        merging = Path(f"/proc/{programs[0].pid}/ksm_merging_pages")
        wait_until(lambda: int(merging.read_text()) > 0)
        command = [sys.executable, str(PROGRAM), "--copies", "1", "--program", "ddnet"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = process.stdout.readline()
            process.send_signal(signal.SIGINT)
            said += process.stdout.read()
    finally:
        stop(programs)
    assert said.startswith("note: other programs merge on this host too: python")
    assert all(f"(PID {each.pid})" in said.replace("\n", " ") for each in programs)


def test_where_sys_is_read_only() -> None:
    """As in a container: it says so, and shows the memory without merging."""
    quickstart = [sys.executable, str(PROGRAM), "--copies", "2", "--program", "ddnet"]
    script = 'mount -o remount,bind,ro /sys && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", f"mount --bind /sys /sys; {script}", "sh"]
    done = subprocess.run(
        [*command, *quickstart], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "KSM cannot be set here: /sys/kernel/mm/ksm/" in said
    assert "DDNet" in said.split("only the memory without merging can be shown")[1]
    assert "Traceback" not in done.stderr
