"""What one address layout gains over plain merging: copies of real programs, and of runtimes with
data full of pointers, started 1.3 s apart with other arguments. Root; KSM is put back.

.venv/bin/python tests/bench/runtimes.py [--copies N] [--json FILE] [NAME]...
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ksmrun.facts.launcher import launcher_path
from ksmrun.host.borrow import borrowed
from ksmrun.launch.fleet import Copy, Fleet, launcher_line, log_has
from ksmrun.observe.sampler import sample
from ksmrun.observe.settle import has_settled

STAGGER_SECONDS, READY_SECONDS, SETTLE_SECONDS, QUIET_SECONDS = 1.3, 180.0, 180.0, 5.0
TUNABLES = {"run": "1", "pages_to_scan": "5000", "sleep_millisecs": "20", "use_zero_pages": "1"}
FIRST_PORT = 31500
MIB = 1 << 20

PYTHON = """
import signal
held = [{"number": n, "name": f"item {n}", "at": (n * 1.5, n * 2.5)} for n in range(100000)]
print("ready", flush=True)
signal.pause()
"""
PERL = """
$| = 1;
my @held = map { { number => $_, name => "item $_", at => [$_ * 1.5, $_ * 2.5] } } 1 .. 100000;
print "ready\n";
sleep 1 while 1;
"""
LUA = """
local held = {}
for n = 1, 100000 do held[n] = {number = n, name = "item " .. n, at = {n * 1.5, n * 2.5}} end
print("ready") io.flush()
os.execute("sleep 1000")
"""
PHP = """
$held = [];
for ($n = 0; $n < 100000; $n++)
    $held[] = ["number" => $n, "name" => "item $n", "at" => [$n * 1.5, $n * 2.5]];
echo "ready\n";
while (true) sleep(60);
"""
NODE = """
const held = [];
for (let n = 0; n < 100000; n++)
  held.push({number: n, name: `item ${n}`, at: [n * 1.5, n * 2.5]});
console.log("ready");
setInterval(() => {}, 60000);
"""


@dataclass(frozen=True)
class Program:
    """Its file, its command for a number that differs from copy to copy, and its ready line."""

    file: str
    command: Callable[[int], list[str]]
    ready: bytes = b"ready"


PROGRAMS = {
    "CPython": Program(sys.executable, lambda n: [sys.executable, "-c", PYTHON, str(n)]),
    "Perl": Program("perl", lambda n: ["perl", "-e", PERL, str(n)]),
    "Lua 5.4": Program("lua5.4", lambda n: ["lua5.4", "-e", LUA, str(n)]),
    "PHP": Program("php", lambda n: ["php", "-r", PHP, "--", str(n)]),
    "Node": Program("node", lambda n: ["node", "-e", NODE, str(n)]),
    "DDNet": Program(
        "/usr/games/DDNet-Server",
        lambda n: [
            *("/usr/games/DDNet-Server", "sv_ipv4only 1", "bindaddr 127.0.0.1"),
            *(f"sv_port {FIRST_PORT + n}", "sv_register 0"),
        ],
        b"server: version",
    ),
    "OpenTTD": Program(
        "/usr/games/openttd",
        lambda n: ["/usr/games/openttd", f"-D127.0.0.1:{FIRST_PORT + n}", "-G42", "-g", "-dnet=3"],
        b"Initializing UDP listeners",
    ),
}


def measure(program: Program, options: list[str], copies: int) -> int:
    """Anonymous PSS of the fleet when merging has settled, in bytes."""
    with tempfile.TemporaryDirectory(prefix="ksmrun-bench-") as scratch, Fleet() as fleet:
        started = time.monotonic()
        for number in range(copies):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            line = launcher_line(launcher_path(), ["--quiet", *options], program.command(number))
            fleet.start(Copy(line, folder, {**os.environ, "HOME": str(folder)}))
            time.sleep(STAGGER_SECONDS)
        fleet.wait_ready(log_has(program.ready), READY_SECONDS)
        ready = time.monotonic()
        samples = [sample(fleet.pids, started)]
        is_off = "--merge=off" in options
        while time.monotonic() - ready < (QUIET_SECONDS if is_off else SETTLE_SECONDS):
            time.sleep(0.5)
            fleet.check_alive()
            samples.append(sample(fleet.pids, started))
            if not is_off and has_settled(samples):
                break
        return samples[-1].pss_anonymous_bytes


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description="Plain merging against one address layout.")
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--json", type=Path)
    parser.add_argument("name", nargs="*", help="all, unless named")
    arguments = parser.parse_args()
    results = {}
    print("| program | anonymous PSS, MiB | merging | saved | and one layout | saved |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, borrowed(TUNABLES):
        key = Path(folder) / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(32))
        shared = ["--layout=shared", f"--layout-key={key}"]
        for name, program in PROGRAMS.items():
            if arguments.name and name not in arguments.name:
                continue
            if shutil.which(program.file) is None:
                print(f"| {name} | not installed | | | | |")
                continue
            off, plain, layout = (
                measure(program, options, arguments.copies)
                for options in (["--merge=off"], [], shared)
            )
            results[name] = {"off": off, "plain": plain, "layout": layout}
            cells = [f"{off / MIB:.0f}"]
            for size in (plain, layout):
                cells += [f"{size / MIB:.0f}", f"**{1 - size / off:.0%}**"]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"copies": arguments.copies, "bytes": results}))


if __name__ == "__main__":
    main()
