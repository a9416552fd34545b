"""Measure what ksmrun-oci adds to the start of a container.

Whole-process times, interleaved. runc itself takes some tens of milliseconds, so a runtime that
does nothing is measured too.

.venv/bin/python tests/bench/oci.py [ROUNDS]     (as root; runc and busybox-static)
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ksmrun.facts.launcher import launcher_path

ROUNDS = 60
RUNC, NOTHING = "/usr/sbin/runc", "/bin/true"
WAYS = ("bare", "through")


def make_bundle(folder: Path) -> bytes:
    """Make a root with busybox; return the config.json, which is rewritten for each start."""
    (folder / "rootfs/bin").mkdir(parents=True)
    for name in ("true", "sleep"):
        shutil.copy("/bin/busybox", folder / "rootfs/bin" / name)
    subprocess.run([RUNC, "spec"], cwd=folder, check=True)
    config = json.loads((folder / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": ["true"], "rlimits": []}
    return json.dumps(config).encode()


def seconds_of(command: list[str]) -> float:
    """Return the time from spawn to exit, without a shell and without a fork of Python."""
    null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    started = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=null)
    _, status = os.waitpid(pid, 0)
    elapsed = time.perf_counter() - started
    assert status == 0, command
    return elapsed


def measure(rounds: int, folder: Path) -> dict[str, dict[str, list[float]]]:
    """Return seconds by what is started, then by runtime; each round runs every one by turns."""
    config = make_bundle(folder)
    oci = str(launcher_path().with_name("ksmrun-oci"))
    root = f"--root={folder / 'state'}"
    bundle = ["--bundle", str(folder)]

    def words(runtime: str, way: str) -> list[str]:
        return [runtime] if way == "bare" else [oci, f"--ksmrun-runtime={runtime}"]

    starts: dict[str, tuple[str, Callable[[str], list[str]]]] = {
        "runc: `run` of `true`": (RUNC, lambda _: [root, "run", *bundle, "bench"]),
        "runc: `exec` of `true`": (RUNC, lambda way: [root, "exec", way, "true"]),
        "runc: `state`": (RUNC, lambda way: [root, "state", way]),
        "nothing: `create`": (NOTHING, lambda _: [root, "create", *bundle, "bench"]),
        "nothing: `exec`": (NOTHING, lambda way: [root, "exec", way, "true"]),
        "nothing: `state`": (NOTHING, lambda way: [root, "state", way]),
    }
    times: dict[str, dict[str, list[float]]] = {name: {} for name in starts}
    for way in WAYS:
        # Its own bundle: exec reads the config.json with which the container was started.
        own = folder / way
        own.mkdir()
        sleeper = json.loads(config)
        sleeper["process"]["args"] = ["sleep", "3600"]
        sleeper["root"]["path"] = str(folder / "rootfs")
        (own / "config.json").write_text(json.dumps(sleeper))
        seconds_of([*words(RUNC, way), root, "run", "--detach", "--bundle", str(own), way])
        for name in starts:
            times[name][way] = []
    try:
        for turn in range(rounds):
            for name, (runtime, start) in starts.items():
                # The first of a pair waits for work that the previous one left to the kernel.
                for way in WAYS if turn % 2 else reversed(WAYS):
                    (folder / "config.json").write_bytes(config)
                    times[name][way].append(seconds_of([*words(runtime, way), *start(way)]))
    finally:
        for way in WAYS:
            subprocess.run([RUNC, root, "delete", "--force", way], check=True)
    return times


def main() -> None:
    """Print a Markdown table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as name:
        times = measure(rounds, Path(name))
    print("| ms | bare, median | through ksmrun-oci | added, median of pairs | least of each |")
    print("|---|---|---|---|---|")
    for name, by_way in times.items():
        bare, through = by_way["bare"], by_way["through"]
        added = statistics.median(b - a for a, b in zip(bare, through, strict=True))
        medians = [statistics.median(bare), statistics.median(through), added]
        cells = [f"{figure * 1e3:.2f}" for figure in medians]
        print(f"| {name} | {' | '.join(cells)} | {min(bare) * 1e3:.1f}, {min(through) * 1e3:.1f} |")


if __name__ == "__main__":
    main()
