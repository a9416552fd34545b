"""Measure what merging keeps of a fleet by where its copies are: spread over hosts, or together.

Models each host by its own instances, which run alone, one host after the other: KSM merges within
a host only. Spread, each host has one copy of each service; together, all copies of some. All have
one address layout. ksmd is off until an instance has done its work. Needs root; KSM is restored.

.venv/bin/python tests/bench/placement.py [--hosts N] [SERVICE]...
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from microvms import RATE, settled
from programs import PROGRAMS, Place
from runtimes import ksmrun, wait_ready

from ksmrun.host.temporary_tunables import borrowed, other_settings
from ksmrun.launch.fleet import Copy, Fleet
from ksmrun.model.errors import KsmrunError
from ksmrun.observe.fleet import FleetSampler

SERVICES = ("Lua 5.4", "LuaJIT", "CPython", "Perl", "PHP", "Ruby", "DDNet", "OpenTTD")
MIB = 1 << 20
# Service of each of its instances.
Host = Sequence[str]


@dataclass(frozen=True)
class Kept:
    """Anonymous PSS of a host's instances: before ksmd ran, and when merging had converged."""

    before_bytes: int
    after_bytes: int


def placements(services: Sequence[str], hosts: int) -> Mapping[str, list[Host]]:
    """Return both ways to place as many copies of each service as there are hosts."""
    each = len(services) // hosts
    return {
        "spread": [services] * hosts,
        "together": [
            [name for name in services[each * at :][:each] for _ in range(hosts)]
            for at in range(hosts)
        ],
    }


def measure(host: Host, shared: Path, layout: Path) -> Kept:
    """Start the instances of a host, wait for their work, then let them merge."""
    with tempfile.TemporaryDirectory(prefix="ksmrun-bench-") as scratch, Fleet() as fleet:
        variables = {**os.environ, "KSMRUN_LAYOUT_DIR": str(layout)}
        places = [
            (PROGRAMS[name], Place(at, Path(scratch) / f"copy-{at}", shared / name))
            for at, name in enumerate(host)
        ]
        for program, place in places:
            place.folder.mkdir()
            program.prepare(place)
            line = [str(ksmrun()), "run", "--quiet", "--layout=shared", *program.layout_options]
            line += ["--", *program.command(place)]
            home = {**variables, "HOME": str(place.folder), **program.variables}
            fleet.start(Copy(tuple(os.fsencode(word) for word in line), place.folder, home))
        for program, place in places:
            wait_ready(fleet, program, [place])
            program.load(place)
        sampler = FleetSampler()
        before = sampler.complete(fleet.pids, "before").pss_anonymous_bytes or 0
        with other_settings(RATE):
            settled()
            fleet.check_alive()
            after = sampler.complete(fleet.pids, "after").pss_anonymous_bytes or 0
        return Kept(before, after)


def main() -> int:
    """Print a Markdown table and the sums. Return the exit code."""
    parser = argparse.ArgumentParser(description="Copies of services: spread, or together.")
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("service", nargs="*", help=f"unless named: {', '.join(SERVICES)}")
    arguments = parser.parse_args()
    services = tuple(arguments.service or SERVICES)
    if unknown := set(services) - set(PROGRAMS):
        parser.error(f"no such service: {', '.join(unknown)}; there are {', '.join(PROGRAMS)}")
    if arguments.hosts < 2 or len(services) % arguments.hosts:
        parser.error("the number of services has to be a multiple of --hosts, 2 or more")
    if missing := {PROGRAMS[name].package for name in services if not _is_there(name)}:
        parser.error(f"not installed; to do: sudo apt-get install {' '.join(sorted(missing))}")
    print("| placement | host | before, MiB | kept, MiB |\n|---|---|---|---|")
    sums: dict[str, list[Kept]] = {}
    with tempfile.TemporaryDirectory(prefix="ksmrun-bench-") as shared:
        for name in services:
            (Path(shared) / name).mkdir()
            PROGRAMS[name].build(Path(shared) / name)
        try:
            for way, hosts in placements(services, arguments.hosts).items():
                for number, host in enumerate(hosts, 1):
                    with borrowed({"run": "0"}):
                        found = measure(host, Path(shared), Path(shared) / "layout")
                    sums.setdefault(way, []).append(found)
                    cells = [way, str(number), *map(_mib, (found.before_bytes, found.after_bytes))]
                    print(f"| {' | '.join(cells)} |", flush=True)
                    # What has ended is forgotten by ksmd before the next begins.
                    time.sleep(1)
        except KsmrunError as error:
            print(f"placement: {error}", file=sys.stderr)
            return 1
    for way, kept in sums.items():
        before, after = (
            sum(each.before_bytes for each in kept),
            sum(each.after_bytes for each in kept),
        )
        print(f"{way}: {_mib(after)} of {_mib(before)} MiB kept ({after / before:.0%})")
    return 0


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MIB:.0f}"


def _is_there(name: str) -> bool:
    return Path(PROGRAMS[name].file).exists()


if __name__ == "__main__":
    sys.exit(main())
