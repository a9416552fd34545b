"""The Linux Test Project's tests of system calls: each comes out as it does directly.

KSMRUN_LTP=FOLDER names its source, which is built once; without it, what was built last is tested.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from .compare import Bench, Outcome
from .ltp import LONG, SHORT, built, programs
from .ways import WAYS, launch

# What a test says of one of its checks, in the new library and in the old one.
VERDICT = re.compile(r"^(\S+:\d+: |\S+ +\d+ +)(TPASS|TFAIL|TCONF|TBROK|TWARN)\b", re.MULTILINE)
LIMIT_SECONDS = 300
# Times, and who is first of two processes, differ from run to run.
TRIES = 3
RUN = """
limit=$1; shift
while [ "$1" != -- ]; do names="$names $1"; shift; done
shift
for name in $names; do
    echo "== $name"
    timeout -k 5 "$limit" "$@" "$name" 2>&1 </dev/null
    echo "code $?"
done
"""


def verdicts(outcome: Outcome) -> Outcome:
    """Each program's exit code, and each check's verdict once."""
    lines = []
    for part in outcome.stdout.split("== ")[1:]:
        name, _, text = part.partition("\n")
        code = re.findall(r"^code (\d+)$", text, re.MULTILINE)
        found = {" ".join((where.strip(), what)) for where, what in VERDICT.findall(text)}
        lines += [f"{name} {' '.join(code[-1:])}", *(f"{name} {each}" for each in sorted(found))]
    return replace(outcome, stdout="\n".join(lines), stderr="", files=(), processes=(), ipc=0)


def have_run(outcome: Outcome) -> list[str]:
    """Return the programs that could be executed: two runs of nothing would not differ either."""
    lines = [line.split() for line in outcome.stdout.splitlines()]
    return [line[0] for line in lines if len(line) == 2 and line[1] not in ("126", "127")]


@pytest.mark.long_run
@pytest.mark.parametrize("folder", [*SHORT, *LONG])
@pytest.mark.parametrize("way", WAYS)
def test_system_calls(bench: Bench, way: str, folder: str) -> None:
    place = built(bench.cache)
    assert place is not None, "KSMRUN_LTP=FOLDER names the source to be built"
    names = programs(place, folder)
    if not names:
        pytest.skip(f"{place} has no tests of {folder}")
    root = f"/mnt/cache/{place.name}"
    path = f"{root}/testcases/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {"LTPROOT": root, "PATH": path, "LTP_TIMEOUT_MUL": "3", "TMPDIR": "/tmp"}
    different: list[str] = []
    for _ in range(TRIES):
        runs = [
            verdicts(
                bench.run(
                    ["sh", "-c", RUN, "sh", str(LIMIT_SECONDS), *names, "--", *prefix],
                    environment,
                    LIMIT_SECONDS * (len(names) + 1),
                )
            )
            for prefix in ([], launch(bench, way))
        ]
        assert have_run(runs[0]) == names, runs[0].stdout
        different = runs[0].differences(runs[1])
        if not different:
            return
        # Only those that differed once more.
        names = [
            name for name in names if any(line[1:].startswith(f"{name} ") for line in different)
        ]
    pytest.fail("\n".join(different))
