"""Map-count guard on real processes.

The cached probe is edited as if this kernel kept VMAs apart.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from schemas import PEAKS

from ksmrun.facts.launcher import cached_probe
from ksmrun.facts.maps import count_maps

from .conftest import Programs

MAPS = 3000
# Pages of alternating protection: each is a VMA.
HOLD_MAPS = f"""
import mmap, sys
area = mmap.mmap(-1, {MAPS} * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
address = ctypes.addressof(ctypes.c_char.from_buffer(area))
for page in range(0, {MAPS}, 2):
    assert libc.mprotect(ctypes.c_void_p(address + page * 4096), 4096, mmap.PROT_READ) == 0
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "server.py"
    file.write_text(f"#!{sys.executable}\n{HOLD_MAPS}")
    file.chmod(0o755)
    return file


@pytest.fixture
def running(script: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.communicate()


@pytest.fixture
def splitting_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Return a prefix with which the cached probe says what 6.12's says."""
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(tmp_path / "state"))
    cached_probe()
    kept = tmp_path / "kept"
    kept.mkdir()
    for file in Path("/run/ksmrun").glob("probe-*-0-0-*.json"):
        probe = {**json.loads(file.read_text()), "mmap_vmas": 64, "brk_vmas": 64}
        (kept / file.name).write_text(json.dumps(probe))
    bind = f'mount --bind {shlex.quote(str(kept))} /run/ksmrun && exec "$@"'
    return ("unshare", "-m", "sh", "-c", bind, "sh")


def start(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_count_maps(running: subprocess.Popen[bytes]) -> None:
    folder = Path("/proc") / str(running.pid)
    assert count_maps(folder) == len((folder / "maps").read_text().splitlines()) > MAPS - 5


def test_a_running_copy_is_the_measure(
    splitting_kernel: tuple[str, ...],
    ksmrun: str,
    script: Path,
    running: subprocess.Popen[bytes],
) -> None:
    run = [*splitting_kernel, ksmrun, "run", "--mechanism=prctl"]
    # A reserve of 99.99 % leaves 6 VMAs, which every program exceeds on its own: only a warning.
    done = start(*run, "--map-reserve=99.99%", "--", script)
    assert done.returncode == 0
    assert f"PID {running.pid}, running now" in done.stderr
    assert "/ksmrun host max-map-count" in done.stderr
    done = start(*run, "--map-reserve=99.99%", "--guard=refuse", "--", script)
    assert (done.returncode, done.stdout) == (125, "")
    assert "not started" in done.stderr
    assert "map limit" not in start(*run, "--", script).stderr, "it fits"
    assert "map limit" not in start(*run, "--map-reserve=99.99%", "--guard=off", script).stderr
    # Another program of the same interpreter is not this one.
    other = script.with_name("other.py")
    other.write_text(f"#!{sys.executable}\n")
    other.chmod(0o755)
    assert "running now" not in start(*run, "--map-reserve=99.99%", "--", other).stderr


def test_a_program_that_nobody_has_seen_is_warned_of(
    splitting_kernel: tuple[str, ...], ksmrun: str, programs: Programs
) -> None:
    run = [*splitting_kernel, ksmrun, "run", "--mechanism=prctl"]
    warning = "are not joined"
    assert warning in start(*run, "--", programs.flag).stderr
    assert warning not in start(*run, "--quiet", "--", programs.flag).stderr
    assert warning not in start(ksmrun, "run", "--", programs.flag).stderr


def test_what_was_seen_is_remembered(
    splitting_kernel: tuple[str, ...], ksmrun: str, script: Path
) -> None:
    process = subprocess.Popen([script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    # check looks as well.
    start(ksmrun, "check", "--", script)
    process.communicate()
    done = start(
        *splitting_kernel, ksmrun, "run", "--mechanism=prctl", "--map-reserve=99.99%", "--", script
    )
    assert "seen before" in done.stderr


def test_skip_and_require(
    splitting_kernel: tuple[str, ...], ksmrun: str, programs: Programs
) -> None:
    flag = programs.flag
    # A program of 20 GiB: --expect-maps is used unchanged, so the data of a copy must show it.
    key = str(Path(flag).resolve())
    state = Path(os.environ["KSMRUN_STATE_DIR"])
    state.mkdir(exist_ok=True)
    peaks = {"schema": PEAKS, "peaks": {key: [40, 20 << 30]}}
    (state / "peaks.json").write_text(json.dumps(peaks))
    run = [*splitting_kernel, ksmrun, "run", "--mechanism=prctl"]
    done = start(*run, "--", flag)
    assert done.returncode == 1, "started, and without the flag"
    assert (
        "starts without merging: vm.max_map_count is too low: 40 maps (seen before)" in done.stderr
    )
    assert start(*run, "--require", "--", flag).returncode == 125
    assert start(*run, "--guard=warn", "--", flag).returncode == 0
    assert start(ksmrun, "run", "--", flag).stderr.count("max_map_count") == 0, (
        "this kernel joins VMAs"
    )


def test_expected_maps(ksmrun: str, programs: Programs) -> None:
    flag = programs.flag
    done = start(ksmrun, "run", "--expect-maps=60000", "--guard=refuse", "--", flag)
    assert done.returncode == 125
    assert "60000 maps (--expect-maps), of 65530 less 20% = 52424" in done.stderr
    assert start(ksmrun, "run", "--expect-maps=50000", "--guard=refuse", "--", flag).returncode == 0
    for bad in ("--map-reserve=100%", "--map-reserve=-1%", "--map-reserve=x", "--expect-maps=0"):
        done = start(ksmrun, "run", bad, "--", flag)
        assert done.returncode == 125
        assert "Traceback" not in done.stderr


def test_the_launchers_own_guard(launcher: str, programs: Programs) -> None:
    flag = programs.flag
    limit = int(Path("/proc/sys/vm/max_map_count").read_text())
    fitting = f"--require-max-map-count={limit}"
    assert start(launcher, "--quiet", fitting, "--", flag).returncode == 0
    done = start(launcher, f"--require-max-map-count={limit + 1}", "--", flag)
    assert done.returncode == 125
    assert f"sysctl -w vm.max_map_count={limit + 1}" in done.stderr
    line = shlex.join([launcher, fitting, "--", flag])
    assert start("unshare", "-m", "sh", "-c", f"umount -l /proc && {line}").returncode == 125


@pytest.mark.host_ksm
def test_host_max_map_count(
    ksmrun: str,
    running: subprocess.Popen[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(tmp_path / "state"))
    limit = Path("/proc/sys/vm/max_map_count")
    before = limit.read_text()
    try:
        done = start(ksmrun, "host", "max-map-count", "131072")
        assert f"vm.max_map_count: {before.strip()} -> 131072" in done.stdout
        assert limit.read_text() == "131072\n"
        done = start(ksmrun, "host", "max-map-count", "2500")
        assert done.returncode == 1
        assert f"mappings that PID {running.pid} has" in done.stderr
        assert start(ksmrun, "host", "restore").returncode == 0
        assert limit.read_text() == before
    finally:
        start(ksmrun, "host", "restore")
    assert running.poll() is None
