"""`--mechanism inject`: the flag is set right after the exec, and the program does not notice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from folders import let_all_in
from waiting import wait_until

from .conftest import See, reachable
from .test_transparency import comparable

PAUSE = "#include <unistd.h>\nint main(void) { pause(); }\n"


@pytest.fixture(scope="module")
def waits(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a static program that does nothing for long."""
    folder = let_all_in(tmp_path_factory.mktemp("waits"))
    (folder / "waits.c").write_text(PAUSE)
    command = ["gcc", "-static", "-o", "waits", "waits.c"]
    subprocess.run(command, check=True, cwd=folder)
    return str(folder / "waits")


def merges(pid: int) -> bool:
    return "ksm_merge_any: yes" in Path(f"/proc/{pid}/ksm_stat").read_text()


def started(*command: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> str:
    """Return its output and the observer's."""
    process.kill()
    return process.communicate()[1]


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_each_time(launcher: str, waits: str, kind: str) -> None:
    """However early the helper comes: the exec continues after it has closed its descriptors."""
    command = [waits] if kind == "static" else ["sleep", "60"]
    processes = [started(launcher, "--quiet", "--inject", "--", *command) for _ in range(40)]
    try:
        wait_until(lambda: all(merges(process.pid) for process in processes))
    finally:
        assert {end(process) for process in processes} == {""}


def test_by_the_command(ksmrun: str, waits: str) -> None:
    process = started(ksmrun, "run", "--mechanism=inject", "--verify", "--", waits)
    wait_until(lambda: Path(f"/proc/{process.pid}/exe").readlink() == Path(waits))
    wait_until(lambda: merges(process.pid))
    time.sleep(0.5)
    assert f"verified: PID {process.pid} ({waits}) has the merge flag" in end(process)
    explained = subprocess.run(
        [ksmrun, "run", "--mechanism=inject", "--require", "--", waits],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (explained.returncode, "too late for --require" in explained.stderr) == (125, True)


def test_as_if_nobody_had_been_there(see: See, launcher: str) -> None:
    """Files, signals, environment, limits, children: the same as when started directly."""
    direct, injected = comparable(see()), comparable(see([launcher, "--quiet", "--inject", "--"]))
    # As with --verify: a short-lived child, whose pages count (getrusage(2): RUSAGE_CHILDREN).
    for each in (direct, injected):
        del each["children_faults"]
    assert injected == direct


@pytest.mark.parametrize(
    ("command", "code"), [(["sh", "-c", "exit 7"], 7), (["/no/such"], 127), (["/etc/passwd"], 126)]
)
def test_exit_codes(launcher: str, command: Sequence[str], code: int) -> None:
    done = subprocess.run([launcher, "--inject", "--", *command], capture_output=True, check=False)
    assert done.returncode == code
    assert b"does not merge" not in done.stderr, "a program that ends soon is no failure"


def test_without_its_helper(launcher: str, waits: str, tmp_path: Path) -> None:
    process = started(reachable(launcher, tmp_path), "--inject", "--", waits)
    time.sleep(0.5)
    assert not merges(process.pid)
    said = end(process)
    assert f"does not merge: {tmp_path}/ksmrun-attach does not exist; install ksmrun again" in said


def test_where_it_may_not(launcher: str, waits: str) -> None:
    """Only root may trace a program that gains privileges."""
    folder = Path(waits).parent / "privileged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(Path(launcher).parent, folder)
    setuid = folder / "waits"
    shutil.copy(waits, setuid)
    os.chown(setuid, 1, 1)
    setuid.chmod(0o4755)
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    process = started(*as_nobody, str(folder / Path(launcher).name), "--inject", "--", str(setuid))
    time.sleep(3)
    assert process.poll() is None and not merges(process.pid)
    assert "does not merge: not-permitted; run `ksmrun attach" in end(process)
    mine = started(*as_nobody, str(folder / Path(launcher).name), "--inject", "--", waits)
    wait_until(lambda: merges(mine.pid))
    end(mine)


def test_the_observer_killed(launcher: str, waits: str) -> None:
    """At worst the program runs without the flag."""
    for _ in range(20):
        process = started(launcher, "--quiet", "--inject", "--", waits)
        wait_until(lambda p=process: Path(f"/proc/{p.pid}/exe").readlink() == Path(waits))  # type: ignore[misc]
        for folder in Path("/proc").iterdir():
            try:
                # Others may have any name.
                name = (folder / "comm").read_bytes() if folder.name.isdigit() else b""
                words = (folder / "cmdline").read_bytes() if name == b"ksmrun-exec\n" else b""
            except OSError:
                continue
            if waits.encode() in words and int(folder.name) != process.pid:
                os.kill(int(folder.name), signal.SIGKILL)
        time.sleep(0.05)
        assert process.poll() is None
        stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        assert stat[0] == "S"
        assert json.dumps(end(process)) == '""'
