"""Measure what merging saves over the workers of a pool, beside loading before the fork.

Six workers each load a scikit-learn model, a pandas table and a numpy array (workers/answers.py),
and answer. ksmd is off until they have: "before" is their memory without merging. Needs root,
wordnet-base and php8.2-fpm; installs the pools from PyPI into a folder of ~/.cache/ksmrun-tests.
KSM is restored.

.venv/bin/python tests/bench/workers.py [--estimate] [POOL]...

--estimate: leave KSM alone, and let `ksmrun estimate` hash the pages of each pool: what could merge
of its private memory, files left out.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from microvms import RATE
from pools import POOLS, WORKERS, Place, Pool, environment, has, of_model

from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.process import read_memory
from ksmrun.host.temporary_tunables import borrowed, other_settings
from ksmrun.observe.sampler import ksmd_cpu_seconds

KSMRUN = str(Path(sys.executable).with_name("ksmrun"))
ARMS = {
    "merged": (KSMRUN, "run", "--quiet", "--"),
    "one layout": (KSMRUN, "run", "--quiet", "--layout=shared", "--layout-scope=tree", "--"),
}
MIB = 1 << 20
END_SECONDS = 60.0
# A page merges in the second scan that sees it unchanged; on a busy machine a scan takes a while.
SETTLED_SCANS, SETTLED_PAGES, SETTLE_SECONDS_MAX = 4, 256, 300.0


@dataclass(frozen=True)
class Measured:
    """Memory of a pool before ksmd ran, and when merging had converged."""

    before_bytes: int
    after_bytes: int
    ksmd_cpu_seconds: float


@contextmanager
def running(pool: Pool, place: Place) -> Iterator[list[int]]:
    """Start the pool, give it work, and yield the PIDs of its processes."""
    variables = {**of_model(place), "KSMRUN_LAYOUT_DIR": f"{place.folder}/layout", **pool.variables}
    started = []
    with (place.folder / "log").open("a") as log:
        try:
            for words in pool.commands(place):
                line = words if pool.merges_itself else [*place.prefix, *words]
                started.append(
                    subprocess.Popen(
                        line,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE if "python" in words[0] else log,
                        stderr=log,
                        env=variables,
                        text=True,
                        start_new_session=True,
                    )
                )
            answers = list(pool.ask(place, started))
            workers = {int(text.split()[0]) for text in answers}
            assert len(workers) == WORKERS, (workers, answers)
            trees = [psutil.Process(process.pid) for process in started]
            children = [child for each in trees for child in each.children(recursive=True)]
            yield (
                sorted(workers)
                if pool.only_workers
                else [process.pid for process in (*trees, *children)]
            )
        finally:
            end(started)


def end(started: list[subprocess.Popen[str]]) -> None:
    """End the pool: scripts by the end of their input, daemons by SIGTERM."""
    rest = []
    for process in started:
        tree = psutil.Process(process.pid)
        rest += [tree, *tree.children(recursive=True)]
        assert process.stdin is not None
        process.stdin.close()
        if process.stdout is None:
            process.send_signal(signal.SIGTERM)
    _, left = psutil.wait_procs(rest, END_SECONDS)
    for each in left:
        each.kill()
    for process in started:
        process.wait()


def pss_bytes(pids: list[int]) -> int:
    """Return the sum of their PSS, with their share of files."""
    return sum(read_memory(Path(f"/proc/{pid}")).pss_bytes or 0 for pid in pids)


def measure(pool: Pool, place: Place) -> Measured:
    """Run the pool once."""
    with running(pool, place) as pids:
        before, cpu_before = pss_bytes(pids), ksmd_cpu_seconds() or 0.0
        with other_settings(RATE):
            settle()
            after = pss_bytes(pids)
        return Measured(before, after, (ksmd_cpu_seconds() or 0.0) - cpu_before)


def estimate(pool: Pool, place: Place) -> Measured:
    """Run the pool once, and hash its pages."""
    with running(pool, place) as pids:
        command = [KSMRUN, "estimate", "--json", *map(str, pids)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        (found,) = json.loads(done.stdout)["predictions"]
        return Measured(int(found["now_bytes"]), int(found["kept_bytes"]), 0.0)


def settle() -> None:
    """Wait until full scans no longer merge much, or for SETTLE_SECONDS_MAX."""
    end = time.monotonic() + SETTLE_SECONDS_MAX
    scans = merged = 0
    while time.monotonic() < end:
        ksm = read_ksm(ROOT)
        now = ksm.merged_pages or 0
        if scans == 0 or abs(now - merged) > SETTLED_PAGES:
            scans, merged = ksm.full_scans or 0, now
        elif (ksm.full_scans or 0) - scans >= SETTLED_SCANS:
            return
        time.sleep(0.5)


def main() -> int:
    """Print a Markdown table. Return the exit code."""
    parser = argparse.ArgumentParser(description="Merging of worker pools.")
    parser.add_argument("pool", nargs="*", help=f"all, unless named: {', '.join(POOLS)}")
    parser.add_argument("--estimate", action="store_true", help="leave KSM alone")
    arguments = parser.parse_args()
    chosen = arguments.pool or list(POOLS)
    if unknown := [name for name in chosen if name not in POOLS]:
        parser.error(f"no such pool: {', '.join(unknown)}; there are {', '.join(POOLS)}")
    if missing := [name for name in chosen if not has(name)]:
        parser.error(f"{', '.join(missing)} needs: sudo apt-get install php8.2-fpm")
    tools, model = environment()
    print("| pool | before, MiB | merged | saved | with one layout | saved | ksmd CPU |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="ksmrun-bench-") as name:
        for title in chosen:
            found = []
            for prefix in ARMS.values():
                place = Place(tools, model, Path(name), prefix)
                if arguments.estimate:
                    found.append(estimate(POOLS[title], place))
                    continue
                with borrowed({"run": "0"}):
                    found.append(measure(POOLS[title], place))
                # What has ended is forgotten by ksmd before the next begins.
                time.sleep(1)
            print(row(title, *found), flush=True)
    return 0


def row(title: str, merged: Measured, layout: Measured) -> str:
    """Return one line of the table."""
    cells = [title, f"{merged.before_bytes / MIB:.0f}"]
    for each in (merged, layout):
        cells.append(f"{each.after_bytes / MIB:.0f}")
        cells.append(f"{1 - each.after_bytes / each.before_bytes:.0%}")
    cells.append(f"{merged.ksmd_cpu_seconds:.0f} s, {layout.ksmd_cpu_seconds:.0f} s")
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
