"""Run the steps of tests/run.sh and print a summary; a failing step does not stop the others.

Steps without pytest, and steps that repeat tests with a launcher built with sanitizers, run beside
the folders of tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "common"))
from ksm_at_boot import put_back
from tally import are_passed, tally

TESTS = Path(__file__).resolve().parent
TOP = TESTS.parent
BUILD = TOP / "build"
# tests/README.md says what each step tests.
FOLDERS = ("unit", "integration", "layout", "containers", "systemd", "kernels", "suites")
BESIDE = ("style", "native", "sanitized", "fuzz")
LONG = ("release", "pythons", "fleets", "valgrind", "quickstart", "bench")
# More than there are processors: tests mostly wait.
WORKERS = os.environ.get("KSMRUN_WORKERS") or str(2 * (os.cpu_count() or 1))
SPREAD = ("--dist=loadgroup", "--no-loadscope-reorder", "-n")


@dataclass(frozen=True)
class Ended:
    """Result of one step: the wall time of a command, or the sum of its tests' times.

    cpu_seconds: of the command and what it waited for; a folder's tests are in several commands.
    """

    step: str
    seconds: float
    is_passed: bool
    what: str = ""
    cpu_seconds: float | None = None


@dataclass(frozen=True)
class Done:
    """What a command returned, and how long it took."""

    code: int
    seconds: float
    cpu_seconds: float


def run(
    command: Sequence[str | Path], environment: dict[str, str], log: Path | None = None
) -> Done:
    """Run a command, which does not outlive this process."""
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("wb")) if log else None
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command],
            cwd=TESTS,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            # A script is ended with everything it started, by a signal to its process group.
            start_new_session=log is not None,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    used = usage.ru_utime + usage.ru_stime
    return Done(process.returncode, time.monotonic() - begin, used)


def run_step(step: str, environment: dict[str, str]) -> Ended:
    """Run a step's script; its output is shown when it has ended."""
    log = BUILD / f"{step}.log"
    done = run(["sh", TESTS / "step.sh", step], environment, log)
    said = log.read_text(errors="replace")
    print(f"\n== {step}\n{said}", end="", flush=True)
    return Ended(step, done.seconds, done.code == 0, cpu_seconds=done.cpu_seconds)


def run_folders(
    folders: Sequence[str], options: Sequence[str], environment: dict[str, str]
) -> list[Ended]:
    """Run pytest side by side; tests of the host's KSM or all processes are serial."""
    pytest: list[str | Path] = [sys.executable, "-m", "pytest", "-q", "--durations=15"]
    inside: list[str | Path] = [TESTS / "common/inside.sh", "--pids"]
    without_ksm = [*inside, "--read-only-ksm", *pytest]
    others = [folder for folder in folders if folder != "kernels"]
    # pytest rewrites each module once and keeps it; all workers would do that at the same time.
    found = BUILD / "collected.json"
    found.unlink(missing_ok=True)
    collecting = environment | {"KSMRUN_COLLECTED": str(found)}
    run([*pytest, "--collect-only", *folders], collecting, BUILD / "collected.log")
    # Runs of few files need not read all; `spread` fails if one cannot be read.
    files = json.loads(found.read_text()) if found.exists() else {}
    host_ksm, host_pids, own_pids = (
        files.get(mark, others) for mark in ("host_ksm", "host_pids", "own_pids")
    )
    # The longest run: one test at a time, and mostly waiting, for ksmd and for programs. What it
    # computes is to be done at once; it is too little to keep the others waiting.
    at_once = ["nice", "-n", "-5"] if os.geteuid() == 0 else []
    runs: dict[str, list[str | Path]] = {
        "host-ksm": [*at_once, *inside, *pytest, "-m", "host_ksm and not host_pids", *host_ksm],
        "ksmd": [TESTS / "common/inside.sh", *pytest, "-m", "host_pids", *host_pids],
        "own-pids": [*without_ksm, "-m", "own_pids and not host_ksm", *own_pids],
        "spread": [*pytest, *SPREAD, WORKERS, "-m", "not host_ksm and not own_pids", *others],
        "kernels": [*without_ksm, *SPREAD, "2", "kernels"],
    }
    if "kernels" not in folders:
        del runs["kernels"]
    # Without a file or folder, pytest would run all.
    for name, given in (("host-ksm", host_ksm), ("ksmd", host_pids), ("own-pids", own_pids)):
        if not given:
            del runs[name]
    if not others:
        runs = {"kernels": runs["kernels"]}

    def run_one(name: str) -> Ended:
        junit, log = BUILD / f"{name}.xml", BUILD / f"{name}.log"
        junit.unlink(missing_ok=True)
        command = [*runs[name], "--durations-min=1", f"--junit-xml={junit}", *options]
        # A folder of its own: pytest closes the shared one whenever it starts.
        with tempfile.TemporaryDirectory(prefix="kt-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o755)
            variables = {"KSMRUN_KSM_GUARDED": "1", "PYTEST_DEBUG_TEMPROOT": folder}
            done = run(command, environment | variables, log)
        print(f"\n== pytest: {name}\n{log.read_text(errors='replace')}", end="", flush=True)
        # 5: this run has no test of these folders; whether there is any, are_passed() judges.
        is_passed = done.code in (0, 5)
        return Ended(f"pytest {name}", done.seconds, is_passed, cpu_seconds=done.cpu_seconds)

    with ThreadPoolExecutor(len(runs)) as pool:
        ended = list(pool.map(run_one, runs))
    counted = tally([BUILD / f"{name}.xml" for name in runs])
    passed = are_passed(folders, counted, are_selected=bool(options))
    by_folder = [
        Ended(folder, counted[folder].seconds, passed[folder], str(counted[folder]))
        for folder in folders
    ]
    return [*by_folder, *ended]


def table(results: Sequence[Ended]) -> str:
    lines = [f"{'step':<15} {'seconds':>8} {'of CPU':>7}  result"]
    for ended in results:
        verdict = "passed" if ended.is_passed else "FAILED"
        detail = f" ({ended.what})" if ended.what else ""
        cpu = "" if ended.cpu_seconds is None else f"{ended.cpu_seconds:.0f}"
        lines.append(f"{ended.step:<15} {ended.seconds:>8.0f} {cpu:>7}  {verdict}{detail}")
    return "\n".join(lines)


def main(words: list[str]) -> int:
    """Run the named steps, or all: [--full] [STEP...] [-- PYTEST OPTIONS]."""
    cut = words.index("--") if "--" in words else len(words)
    words, options = words[:cut], words[cut + 1 :]
    is_full = "--full" in words
    named = [word for word in words if word != "--full"]
    steps = named or [*BESIDE, *FOLDERS, *(LONG if is_full else ())]
    environment = {"KSMRUN_SUITES": "all", "KSMRUN_KERNELS": "all"} if is_full else {}
    # Each harness gets longer if the step was named.
    environment["KSMRUN_FUZZ_SECONDS"] = "60" if "fuzz" in named else "3"
    # Child processes get a SIGTERM when this process is gone.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: os._exit(128 + number))
    BUILD.mkdir(exist_ok=True)
    folders = [step for step in FOLDERS if step in steps]
    guard = put_back() if os.geteuid() == 0 else contextlib.nullcontext()
    with guard, ThreadPoolExecutor(1) as pool:
        beside = pool.submit(
            lambda: [run_step(step, environment) for step in BESIDE if step in steps]
        )
        results = run_folders(folders, options, environment) if folders else []
        results = [*beside.result(), *results]
    # Benchmarks and long runs have the machine to themselves.
    results += [run_step(step, environment) for step in LONG if step in steps]
    print(f"\n{table(results)}")
    return 0 if all(ended.is_passed for ended in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
