"""Measure what the shim costs a program: CPU and elapsed time, a sweep, and memory.

With and without it interleaved; results are medians of the ratios of each round.

.venv/bin/python tests/bench/shim.py [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ksmrun.facts.launcher import LAUNCHER, launcher_path
from ksmrun.facts.process import read_sweeper

ROUNDS = 15
SHIM = LAUNCHER.parent / "shim/$PLATFORM" / "libksmrun-preload.so"
# The same launcher in each, so that only the shim differs.
WAYS = {
    "without": [],
    "idle": [f"--preload={SHIM}"],
    "marking": [f"--preload={SHIM}", "--shim=mark"],
    "joining": [f"--preload={SHIM}", "--shim=join"],
}
PYTHON = """
import json, re
words = [f"word{n % 977}" for n in range(60000)]
for _ in range(3):
    table = {}
    for number, word in enumerate(words):
        table.setdefault(word, []).append({"n": number, "text": word * 3})
    text = json.dumps(table)
    assert len(re.findall(r"word\\d+", json.dumps(json.loads(text)))) > 1000
"""


def launch(way: str) -> list[str]:
    """Return the command up to the program's own words."""
    merge = "--merge=on" if way == "joining" else "--merge=off"
    return [str(launcher_path()), "--quiet", merge, *WAYS[way], "--"]


def once(command: list[str]) -> tuple[float, float]:
    """Return CPU and elapsed seconds."""
    started = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    elapsed = time.perf_counter() - started
    assert status == 0, command
    return usage.ru_utime + usage.ru_stime, elapsed


def compare(works: dict[str, list[str]], rounds: int) -> None:
    """Print a table that compares each way with none."""
    print("| work | " + " | ".join(f"{way}: CPU, elapsed" for way in list(WAYS)[1:]) + " |")
    print("|---|" + "---|" * (len(WAYS) - 1))
    for name, work in works.items():
        ratios: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for number in range(rounds):
            # Each way is first as often as any other.
            order = list(WAYS)[number % len(WAYS) :] + list(WAYS)[: number % len(WAYS)]
            times = {way: once([*launch(way), *work]) for way in order}
            for way, (cpu, elapsed) in times.items():
                ratios[way].append((cpu / times["without"][0], elapsed / times["without"][1]))
        cells = [
            ", ".join(f"{statistics.median(column):.3f}" for column in zip(*pairs, strict=True))
            for pairs in list(ratios.values())[1:]
        ]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def compare_forks(program: str, rounds: int) -> None:
    """Print the ratios of each way's fork and wait to those without, and their quartiles."""
    print("\n| fork and wait | without | " + " | ".join(list(WAYS)[1:]) + " |")
    print("|---|" + "---|" * len(WAYS))
    for name, prefix in {
        "as usual": [],
        "nice": ["nice", "-n", "10"],
        "SCHED_FIFO": ["chrt", "--fifo", "10"],
    }.items():
        found: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                command = [*prefix, *launch(way), program, "forks", "600"]
                found[way].append(float(subprocess.check_output(command)))
        cells = [f"{statistics.median(found['without']) / 1000:.0f} µs"]
        for way in list(WAYS)[1:]:
            pairs = zip(found[way], found["without"], strict=True)
            low, middle, high = statistics.quantiles([with_ / bare for with_, bare in pairs], n=4)
            cells.append(f"{middle:.3f} ({low:.3f} to {high:.3f})")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def held(command: list[str]) -> subprocess.Popen[str]:
    """Start the program, and wait until it has allocated its memory."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def sweep_ms(work: list[str], way: str) -> tuple[float, int]:
    """Return the CPU time of one sweep, and the number of VMAs that it read."""
    process = held([*launch(way), *work])
    folder = Path("/proc") / str(process.pid)
    status = read_sweeper(folder)
    assert status is not None and status.sweeps and status.vmas
    tasks = [t for t in (folder / "task").iterdir() if "sweep" in (t / "comm").read_text()]
    nanoseconds = int((tasks[0] / "schedstat").read_text().split()[0])
    process.communicate("")
    return nanoseconds / 1e6 / status.sweeps, status.vmas


def resident_kib(work: list[str], way: str) -> int:
    """Return the PSS of the whole process, because it shares pages with others."""
    process = held([*launch(way), *work])
    text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    process.communicate("")
    return int(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1])


def main() -> None:
    """Print Markdown tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/work"
        source = Path(__file__).with_name("work.c")
        subprocess.run(["gcc", "-O2", "-o", program, source, "-lpthread"], check=True)
        compare(
            {
                "malloc and free": [program, "malloc", "12000000"],
                "mmap and munmap": [program, "mmap", "250000"],
                "16 threads": [program, "server", "40000"],
                "CPython": [sys.executable, "-c", PYTHON],
            },
            rounds,
        )
        compare_forks(program, rounds)
        print("\n| sweep over | CPU of one, marking | joining |\n|---|---|---|")
        for count in (1000, 10000):
            work = [program, "vmas", str(count)]
            (mark, seen), (join, _) = (sweep_ms(work, way) for way in ("marking", "joining"))
            print(f"| {seen} VMAs | {mark:.2f} ms | {join:.2f} ms |", flush=True)
        work = [program, "hold", "64"]
        without, idle, marking = (
            statistics.median(resident_kib(work, way) for _ in range(5))
            for way in ("without", "idle", "marking")
        )
        print(f"\nResident: idle {idle - without} KiB, marking {marking - without} KiB.")


if __name__ == "__main__":
    main()
