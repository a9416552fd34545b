"""What ksmrun-oci adds to the start of a container: whole-process times, interleaved.

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
RUNC = "/usr/sbin/runc"


def make_bundle(folder: Path) -> bytes:
    """A root with busybox; returns the config.json, which each start gets anew."""
    (folder / "rootfs/bin").mkdir(parents=True)
    for name in ("true", "sleep"):
        shutil.copy("/bin/busybox", folder / "rootfs/bin" / name)
    subprocess.run([RUNC, "spec"], cwd=folder, check=True)
    config = json.loads((folder / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": ["true"], "rlimits": []}
    return json.dumps(config).encode()


def seconds_of(command: list[str]) -> float:
    """From spawn to exit, without a shell and without a fork of Python."""
    null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    started = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=null)
    _, status = os.waitpid(pid, 0)
    elapsed = time.perf_counter() - started
    assert status == 0, command
    return elapsed


def measure(rounds: int, folder: Path) -> dict[str, dict[str, list[float]]]:
    """Seconds by what is started, then by the runtime; each round has every one, in turn."""
    config = make_bundle(folder)
    ways = {"bare": [RUNC], "through": [str(launcher_path().with_name("ksmrun-oci"))]}
    ways["through"].append(f"--ksmrun-runtime={RUNC}")
    root = f"--root={folder / 'state'}"
    bundle = ["--bundle", str(folder)]
    starts: dict[str, Callable[[str], list[str]]] = {
        "`run` of `true`": lambda _: [root, "run", *bundle, "bench"],
        "`exec` of `true`": lambda way: [root, "exec", way, "true"],
        "`state`": lambda way: [root, "state", way],
        "`--version`": lambda _: ["--version"],
    }
    times: dict[str, dict[str, list[float]]] = {name: {} for name in starts}
    for way, words in ways.items():
        # Its own bundle: exec looks at the config.json that it was started with.
        own = folder / way
        own.mkdir()
        sleeper = json.loads(config)
        sleeper["process"]["args"] = ["sleep", "3600"]
        sleeper["root"]["path"] = str(folder / "rootfs")
        (own / "config.json").write_text(json.dumps(sleeper))
        seconds_of([*words, root, "run", "--detach", "--bundle", str(own), way])
        for name in starts:
            times[name][way] = []
    try:
        for _ in range(rounds):
            for name, start in starts.items():
                for way, words in ways.items():
                    (folder / "config.json").write_bytes(config)
                    times[name][way].append(seconds_of([*words, *start(way)]))
    finally:
        for way in ways:
            subprocess.run([RUNC, root, "delete", "--force", way], check=True)
    return times


def main() -> None:
    """Prints a table in Markdown."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as name:
        times = measure(rounds, Path(name))
    print(
        "| runc, ms | bare, median | through ksmrun-oci | added, median of pairs | least of each |"
    )
    print("|---|---|---|---|---|")
    for name, by_way in times.items():
        bare, through = by_way["bare"], by_way["through"]
        added = statistics.median(b - a for a, b in zip(bare, through, strict=True))
        medians = [statistics.median(bare), statistics.median(through), added]
        cells = [f"{figure * 1e3:.1f}" for figure in medians]
        print(f"| {name} | {' | '.join(cells)} | {min(bare) * 1e3:.1f}, {min(through) * 1e3:.1f} |")


if __name__ == "__main__":
    main()
