"""Show what a program learns of another's memory by timing its own writes, and what prevents that.

One program keeps locked pages, the other guesses them: half of its guesses are right. A write to a
page that has merged has to copy it first. Each kind of launch of the keeper has its turns: merged,
with --exclude-secrets, and not at all.

.venv/bin/python tests/bench/channel.py [--pages N] [--rounds N]
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ksmrun.host.temporary_tunables import borrowed

SOURCE = Path(__file__).with_name("channel.c")
KSMRUN = str(Path(sys.executable).with_name("ksmrun"))
KSM = Path("/sys/kernel/mm/ksm")
FAST = {"run": "1", "sleep_millisecs": "0", "pages_to_scan": "100000", "smart_scan": "0"}
KEEPERS = {
    "merged": ("--merge=on",),
    "--exclude-secrets": ("--exclude-secrets",),
    "not merged": ("--merge=off",),
}
SCANS = 4


def start(words: Sequence[str | Path]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    process = subprocess.Popen([*map(str, words)], stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def wait_for_scans() -> None:
    """Wait until every page was compared, also with what merged meanwhile."""
    until = int((KSM / "full_scans").read_text()) + SCANS
    while int((KSM / "full_scans").read_text()) < until:
        time.sleep(0.02)


def turn(program: Path, keeper: Sequence[str], pages: int) -> tuple[list[int], list[int]]:
    """Return the nanoseconds of writes to right and to wrong guesses."""
    seed = str(random.randrange(1 << 30))
    run = (KSMRUN, "run", "--quiet")
    keeps = start((*run, *keeper, "--", program, "keep", seed, str(pages)))
    guesses = start((*run, "--", program, "guess", seed, str(pages)))
    try:
        wait_for_scans()
        text, _ = guesses.communicate("", timeout=60)
        keeps.communicate("", timeout=60)
    finally:
        for process in (guesses, keeps):
            process.kill()
            process.wait()
    took = [int(line) for line in text.split()]
    assert len(took) == 2 * pages
    return took[::2], took[1::2]


def told_apart(right: list[int], wrong: list[int]) -> float:
    """Return how often a right guess takes longer than a wrong one; 0.5: as a coin tells it."""
    ranked = sorted([(each, 1) for each in right] + [(each, 0) for each in wrong])
    wins, seen = 0.0, 0
    while ranked:
        # Equal times count half.
        same = [kind for value, kind in ranked if value == ranked[0][0]]
        count = sum(same)
        wins += count * (seen + (len(same) - count) / 2)
        seen += len(same) - count
        ranked = ranked[len(same) :]
    return wins / (len(right) * len(wrong))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    found: dict[str, tuple[list[int], list[int]]] = {name: ([], []) for name in KEEPERS}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        program = Path(folder) / "channel"
        subprocess.run(["gcc", "-O2", SOURCE, "-o", program], check=True)
        with borrowed(FAST, Path(folder)):
            for _ in range(arguments.rounds):
                for name, keeper in KEEPERS.items():
                    right, wrong = turn(program, keeper, arguments.pages)
                    found[name][0].extend(right)
                    found[name][1].extend(wrong)
    print("keeper               right guess, ns   wrong guess, ns   told apart")
    for name, (right, wrong) in found.items():
        shown = [
            f"{statistics.median(times):5.0f} (p90 {statistics.quantiles(times, n=10)[-1]:5.0f})"
            for times in (right, wrong)
        ]
        print(f"{name:20} {shown[0]:17} {shown[1]:17} {told_apart(right, wrong):6.1%}")


if __name__ == "__main__":
    main()
