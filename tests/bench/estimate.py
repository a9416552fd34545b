"""Compare what `ksmrun estimate` predicts for running copies with what KSM then saves.

Also measures its speed. Needs root; KSM is restored.

.venv/bin/python tests/bench/estimate.py [--copies N] [NAME]...

Copies with individual hash seeds do not show what one layout would save, as that comes with one
seed; for two programs whose seed can be fixed there is a row with it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from programs import PROGRAMS, USUAL, Program
from runtimes import ARMS, TUNABLES, measure

from ksmrun.host.temporary_tunables import borrowed
from ksmrun.model.errors import KsmrunError
from ksmrun.model.estimate import Estimate
from ksmrun.observe.estimate import look_at_pages
from ksmrun.observe.sampler import with_children

GIB = 1 << 30
SEEDS = {"CPython": {"PYTHONHASHSEED": "1"}, "Perl": {"PERL_HASH_SEED": "1"}}
FIXED = ", hash seed fixed"
# Its words are in a graph of objects, hash tables and strings.
SPEED_SCRIPT = "import sys,time\nd={i:[i,str(i),{'a':i}] for i in range(1500000)}\nprint(1,flush=1)"


def compare(program: Program, copies: int, environment: dict[str, str]) -> list[str]:
    """Return the cells of a row: estimated and measured, for merging and for one layout."""
    looks: list[Estimate] = []

    def look(pids: Sequence[int]) -> None:
        looks.append(look_at_pages(with_children(pids)))

    with tempfile.TemporaryDirectory() as folder, borrowed(TUNABLES):
        shared = Path(folder)
        program.build(shared)
        off, plain, layout = (
            measure(program, shared, options, copies, environment, look)
            for options in ARMS.values()
        )
    told = looks[0]
    kept_layout = told.kept_layout
    assert kept_layout is not None
    cells = [f"{off.anonymous_pss_bytes / (1 << 20):.0f}"]
    for kept, measured in ((told.kept_plain, plain), (kept_layout, layout)):
        saved = 1 - measured.anonymous_pss_bytes / off.anonymous_pss_bytes
        cells += [f"{1 - kept / told.frames:.1%}", f"{saved:.1%}"]
    return cells


def speed(*, layout: bool) -> str:
    """Return GiB per second on a heap of 1.2 GiB full of pointers, the best of five runs."""
    script = f"{SPEED_SCRIPT}\ntime.sleep(600)"
    holders = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) for _ in range(2)
    ]
    try:
        for each in holders:
            assert each.stdout is not None
            each.stdout.readline()
        time.sleep(1)
        looks = [look_at_pages([each.pid for each in holders], layout=layout) for _ in range(5)]
    finally:
        for each in holders:
            each.kill()
            each.communicate()
    best = max(look.read_pages * look.page_bytes / look.read_seconds for look in looks)
    each_page = looks[0].own_peak_bytes / looks[0].read_pages
    return f"{best / GIB:.2f} GiB/s, {each_page:.0f} bytes a page"


def main() -> int:
    """Print a Markdown table, and the speeds."""
    parser = argparse.ArgumentParser(description="Told against measured.")
    parser.add_argument("--copies", type=int, default=3)
    parser.add_argument("name", nargs="*", help="all, unless named")
    arguments = parser.parse_args()
    names = arguments.name or [*USUAL, *(name + FIXED for name in SEEDS)]
    if unknown := {name.removesuffix(FIXED) for name in names} - set(PROGRAMS):
        parser.error(f"no such program: {', '.join(unknown)}; there are {', '.join(PROGRAMS)}")
    print(f"without layout {speed(layout=False)}; with it {speed(layout=True)}", flush=True)
    print("| program | MiB | merging: told | measured | and one layout: told | measured |")
    print("|---|---|---|---|---|---|")
    for name in names:
        program = name.removesuffix(FIXED)
        seeds = SEEDS[program] if name.endswith(FIXED) else {}
        try:
            cells = compare(PROGRAMS[program], arguments.copies, {**os.environ, **seeds})
        except KsmrunError as error:
            print(f"estimate: {name}: {error}", file=sys.stderr)
            return 1
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
