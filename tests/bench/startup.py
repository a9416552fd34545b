"""Measure what commands cost: CPU time of the whole process, interleaved, as ratios of medians.

Each round has another order: a short command costs a quarter more right after a long one, which has
filled the processor's caches.

.venv/bin/python tests/bench/startup.py [ROUNDS]
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from ksmrun.facts.launcher import launcher_path

ROUNDS = 60
OTHERS = ("--help", "completion bash", "ps", "check", "status", "host show --seconds 0")
EMPTY_APP = """
import typer
app = typer.Typer()
@app.command()
def main() -> None: ...
app()
"""


def once(command: list[str]) -> float:
    """Return the CPU time from exec to exit: user and system, with that of its children."""
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=quiet)
    _, status, used = os.wait4(pid, 0)
    # `check` ends with 1 where KSM is off.
    assert os.waitstatus_to_exitcode(status) in (0, 1), command
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print a Markdown table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    ksmrun = str(Path(sys.executable).with_name("ksmrun"))
    with tempfile.TemporaryDirectory() as folder:
        empty_app = Path(folder) / "empty.py"
        empty_app.write_text(EMPTY_APP)
        key = Path(folder) / "key"
        key.write_bytes(os.urandom(32))
        key.chmod(0o400)
        shared = [str(launcher_path()), "--quiet", "--layout=shared", f"--layout-key={key}"]
        commands = {
            "env true": ["env", "true"],
            "setpriv true": ["setpriv", "true"],
            "ksmrun-exec true": [str(launcher_path()), "--quiet", "true"],
            "ksmrun-exec --layout=shared true": [*shared, "true"],
            "python3 -c pass": [sys.executable, "-c", "pass"],
            "empty typer app": [sys.executable, str(empty_app)],
            "ksmrun --version": [ksmrun, "--version"],
            "ksmrun run -- true": [ksmrun, "run", "--quiet", "--", "true"],
            # An option that is the default: the front leaves it to Python.
            "ksmrun run --guard skip -- true": [
                *(ksmrun, "run", "--quiet", "--guard", "skip", "--", "true")
            ],
            "ksmrun run --layout shared -- true": [
                *(ksmrun, "run", "--quiet", "--layout=shared", "--", "true")
            ],
            **{f"ksmrun {line}": [ksmrun, *line.split()] for line in OTHERS},
        }
        for name in ("ksmrun run -- true", "ksmrun run --layout shared -- true"):
            subprocess.run(commands[name], check=True)
        times: dict[str, list[float]] = {name: [] for name in commands}
        shuffle = random.Random(1).shuffle
        order = [*commands]
        for _ in range(rounds):
            shuffle(order)
            for name in order:
                times[name].append(once(commands[name]))
    medians = {name: statistics.median(values) for name, values in times.items()}
    print("| command | median ms | least ms | times `env true` |")
    print("|---|---|---|---|")
    for name, values in times.items():
        ratio = medians[name] / medians["env true"]
        print(f"| `{name}` | {medians[name] * 1e3:.2f} | {min(values) * 1e3:.2f} | {ratio:.2f} |")
    ratio = medians["ksmrun run -- true"] / medians["ksmrun-exec true"]
    print(f"\n`ksmrun run` takes {ratio:.2f} times the CPU time of `ksmrun-exec`.")


if __name__ == "__main__":
    main()
