"""Compare five ways to set ksmd's rate: speed of merging, CPU used, and savings kept.

They are the kernel's defaults, its advisor, ksmtuned's rule, a fixed high rate and `ksmrun monitor
--auto`; measured after the start, at rest, and while instances are restarted. Needs root; KSM is
restored.

.venv/bin/python tests/bench/tuning.py [--processes N] [--equal-mib N] [--way NAME]... [--rest S]
    [--churn S] [--json FILE]

The file keeps the results of other ways, so that they can be measured one at a time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.launcher import launcher_path
from ksmrun.host.temporary_tunables import borrowed, other_settings
from ksmrun.observe.sampler import ksmd_cpu_seconds

SCHEMA = "ksmrun-tuning-1"
MIB = 1 << 20
SERVER = Path(__file__).with_name("tuning_server.py")
# Data of the processes that are to merge: files that every host with the tests' packages has.
DATA_FOLDERS = ("/usr/share/games/ddnet/data", "/usr/share/wordnet", "/usr/lib/x86_64-linux-gnu")
START_GAP_SECONDS = 0.25
POLL_SECONDS = 1.0
SETTLE_SECONDS_MAX = 3600.0
# Converged if the merged memory stays the same for this long.
STILL_SECONDS = 30.0
# ksmtuned of ksm-control-scripts, as published: each minute 300 pages more if free memory is below
# a fifth, else 50 fewer, from 64 to 1,250; the sleep is 100 ms for 16 GiB.
KSMTUNED_SECONDS, KSMTUNED_BOOST, KSMTUNED_MIN, KSMTUNED_MAX = 60.0, 300, 64, 1250
SPIN = "import time\nn=0\nwhile 1:\n n+=1\n if not n%1000: print(n, flush=True)\n sum(range(1000))"


@dataclass(frozen=True)
class Point:
    """Seconds since the last process was ready; ksmd's CPU since the first was started."""

    seconds: float
    merged_bytes: int
    ksmd_cpu_seconds: float
    scanned_pages: int
    neighbour: int


@dataclass
class Result:
    """Result of one way. points: while it merges, at rest, and while instances are restarted."""

    way: str
    processes: int
    start_seconds: float = 0.0
    points: dict[str, list[Point]] = field(default_factory=dict)


Tick = Callable[[], None]


@contextmanager
def defaults(_: Path) -> Iterator[Tick]:
    with other_settings({"pages_to_scan": "100", "sleep_millisecs": "20"}):
        yield lambda: None


@contextmanager
def advisor(_: Path) -> Iterator[Tick]:
    with other_settings({"advisor_mode": "scan-time"}):
        yield lambda: None


@contextmanager
def fixed(_: Path) -> Iterator[Tick]:
    with other_settings({"pages_to_scan": "5000", "sleep_millisecs": "20"}):
        yield lambda: None


@contextmanager
def ksmtuned(_: Path) -> Iterator[Tick]:
    """Apply ksmtuned's rule with memory always short: it raises the rate each minute."""
    total_bytes = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    sleep = max(10, int(100 * 16 * 1024 * MIB / total_bytes))
    pages, due = KSMTUNED_MIN, time.monotonic()

    def tick() -> None:
        nonlocal pages, due
        if time.monotonic() < due:
            return
        due += KSMTUNED_SECONDS
        pages = min(pages + KSMTUNED_BOOST, KSMTUNED_MAX)
        Path("/sys/kernel/mm/ksm/pages_to_scan").write_text(str(pages))

    with other_settings({"pages_to_scan": str(pages), "sleep_millisecs": str(sleep)}):
        yield tick


@contextmanager
def auto(folder: Path) -> Iterator[Tick]:
    """Run the monitor with its own state folder; it restores the rate itself."""
    program = Path(sys.executable).with_name("ksmrun")
    with (folder / "monitor.log").open("wb") as log:
        monitor = subprocess.Popen([program, "monitor", "--auto"], stdout=log, stderr=log)
    try:
        time.sleep(3)
        yield lambda: None
    finally:
        monitor.terminate()
        monitor.wait(30)


WAYS = {
    "defaults": defaults,
    "advisor": advisor,
    "ksmtuned": ksmtuned,
    "fixed": fixed,
    "auto": auto,
}


class Fleet:
    """Processes that are restarted one by one."""

    def __init__(self, size: int, data: Path, unique_mib: int, changing_mib: int) -> None:
        self._line: list[str | Path] = [
            launcher_path(),
            "--quiet",
            "--",
            sys.executable,
            SERVER,
            data,
        ]
        self._line += [str(unique_mib), str(changing_mib)]
        self._processes: list[subprocess.Popen[bytes]] = []
        self.restarts = 0
        self._size = size

    def start(self) -> None:
        for _ in range(self._size):
            self._processes.append(self._started())
            time.sleep(START_GAP_SECONDS)

    def restart_next(self) -> None:
        place = self.restarts % self._size
        _end(self._processes[place])
        self._processes[place] = self._started()
        self.restarts += 1

    def stop(self) -> None:
        for process in self._processes:
            _end(process)

    def _started(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._line, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"ready")
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


class Neighbour:
    """Program that always wants a CPU, and its progress."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with file.open("wb") as output:
            self._process = subprocess.Popen([sys.executable, "-c", SPIN], stdout=output)

    def count(self) -> int:
        words = self._file.read_bytes()[-64:].split(b"\n")
        return int(words[-2]) if len(words) > 1 and words[-2] else 0

    def stop(self) -> None:
        _end(self._process)


def measure(arguments: argparse.Namespace, way: str, data: Path, folder: Path) -> Result:
    """Measure the whole life of a fleet under one way."""
    result = Result(way, arguments.processes)
    with ExitStack() as stack:
        stack.enter_context(borrowed({"run": "1"}))
        tick = stack.enter_context(WAYS[way](folder))
        fleet = Fleet(arguments.processes, data, arguments.unique_mib, arguments.changing_mib)
        stack.callback(fleet.stop)
        cpu_before = ksmd_cpu_seconds() or 0.0
        neighbour = Neighbour(folder / "neighbour")
        stack.callback(neighbour.stop)
        begun = time.monotonic()
        fleet.start()
        ready = time.monotonic()
        result.start_seconds = ready - begun

        def point() -> Point:
            ksm = read_ksm(ROOT)
            pages = ksm.merged_pages or 0
            return Point(
                seconds=time.monotonic() - ready,
                merged_bytes=pages * ksm.page_bytes,
                ksmd_cpu_seconds=(ksmd_cpu_seconds() or 0.0) - cpu_before,
                scanned_pages=ksm.pages_scanned or 0,
                neighbour=neighbour.count(),
            )

        def watch(seconds: float, until: Callable[[Sequence[Point]], bool]) -> list[Point]:
            points = [point()]
            while points[-1].seconds - points[0].seconds < seconds and not until(points):
                tick()
                time.sleep(POLL_SECONDS)
                points.append(point())
            return points

        least = (arguments.processes - 1) * data.stat().st_size * 0.9
        result.points["merging"] = watch(SETTLE_SECONDS_MAX, lambda seen: _is_still(seen, least))
        result.points["rest"] = watch(arguments.rest, lambda _: False)

        def churn(points: Sequence[Point]) -> bool:
            """Restart each process once, evenly spread over the time."""
            passed = points[-1].seconds - points[0].seconds
            if passed >= fleet.restarts * arguments.churn / arguments.processes:
                fleet.restart_next()
            return False

        result.points["churn"] = watch(arguments.churn, churn)
    return result


def _is_still(points: Sequence[Point], least_bytes: float) -> bool:
    last = points[-1]
    if last.merged_bytes < least_bytes:
        return False
    earlier = [each for each in points if last.seconds - each.seconds >= STILL_SECONDS]
    return bool(earlier) and last.merged_bytes - earlier[-1].merged_bytes <= MIB * 4


def seconds_to(points: Sequence[Point], size_bytes: float) -> Point | None:
    """Return the first point at which this much had merged."""
    return next((each for each in points if each.merged_bytes >= size_bytes), None)


def rate(points: Sequence[Point], name: str) -> float:
    """Return a counter's growth per second."""
    first, last = points[0], points[-1]
    passed = last.seconds - first.seconds
    return (getattr(last, name) - getattr(first, name)) / passed if passed else 0.0


def table(results: Sequence[Result]) -> Iterator[str]:
    ideal = max(each.points["merging"][-1].merged_bytes for each in results)
    yield f"achievable: {ideal / MIB:.0f} MiB of {results[0].processes} processes"
    head = [*("way", "50 %, s", "90 %, s", "CPU to 90 %, s", "CPU at rest", "kept", "neighbour/s")]
    head += ["a page to 90 %, µs", "at rest, µs"]
    yield "| " + " | ".join(head) + " |"
    yield "|---" * len(head) + "|"
    for result in results:
        merging = result.points["merging"]
        half, most = (seconds_to(merging, share * ideal) for share in (0.5, 0.9))
        churn = result.points["churn"]
        kept = churn[-1].merged_bytes / ideal if len(churn) > 1 else 0.0
        upto = merging[: merging.index(most) + 1] if most else merging
        yield (
            f"| {result.way} | {half.seconds if half else float('nan'):.0f} "
            f"| {most.seconds if most else float('nan'):.0f} "
            f"| {most.ksmd_cpu_seconds if most else float('nan'):.1f} "
            f"| {rate(result.points['rest'], 'ksmd_cpu_seconds'):.2%} | {kept:.0%} "
            f"| {rate(upto, 'neighbour'):.0f} of {rate(result.points['rest'], 'neighbour'):.0f} "
            f"| {page_us(upto):.1f} | {page_us(result.points['rest']):.1f} |"
        )


def page_us(points: Sequence[Point]) -> float:
    """Return ksmd's CPU time per scanned page."""
    pages = rate(points, "scanned_pages")
    return rate(points, "ksmd_cpu_seconds") / pages * 1e6 if pages else float("nan")


def equal_data(file: Path, size_mib: int) -> None:
    """Concatenate real files."""
    left = size_mib * MIB
    with file.open("wb") as output:
        for folder in DATA_FOLDERS:
            for path in sorted(Path(folder).rglob("*")):
                if left <= 0:
                    return
                if path.is_file() and not path.is_symlink():
                    left -= output.write(path.read_bytes()[:left])
    raise SystemExit(f"too little data in {', '.join(DATA_FOLDERS)}")


def loaded(file: Path) -> list[Result]:
    """Return earlier results, so that ways can be measured one at a time."""
    results = []
    for each in json.loads(file.read_text())["results"]:
        points = {
            name: [Point(**point) for point in each["points"][name]] for name in each["points"]
        }
        results.append(Result(each["way"], each["processes"], each["start_seconds"], points))
    return results


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=64)
    parser.add_argument("--equal-mib", type=int, default=112)
    parser.add_argument("--unique-mib", type=int, default=24)
    parser.add_argument("--changing-mib", type=int, default=8)
    parser.add_argument("--way", choices=WAYS, action="append")
    parser.add_argument("--rest", type=float, default=300.0)
    parser.add_argument("--churn", type=float, default=600.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    kept = arguments.json is not None and arguments.json.exists()
    results = loaded(arguments.json) if kept else []
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        equal_data(data, arguments.equal_mib)
        for way in arguments.way or WAYS:
            results = [each for each in results if each.way != way]
            results.append(measure(arguments, way, data, Path(name)))
            print("\n".join(table(results)), flush=True)
            if way == "auto":
                print((Path(name) / "monitor.log").read_text(), file=sys.stderr)
            if arguments.json:
                found = {"schema": SCHEMA, "results": [asdict(each) for each in results]}
                arguments.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
