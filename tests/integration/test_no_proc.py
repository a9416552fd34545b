"""Commands where /proc is not mounted: they say so, without a traceback."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

COVER = "mount -t tmpfs tmpfs /proc && exec "
NOT_MOUNTED = "/proc is not mounted here, so processes cannot be seen; mount -t proc proc /proc"


def without_proc(ksmrun: str, *words: str) -> subprocess.CompletedProcess[str]:
    line = ["unshare", "--mount", "sh", "-c", COVER + shlex.join([ksmrun, *words])]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words",
    [
        ("ps",),
        ("top", "--once"),
        ("explain", "1"),
        ("estimate", "1"),
        ("estimate", "--match", "x"),
        ("attach", "1"),
        ("attach", "--unit", "cron"),
        ("ab", "-n", "1", "--ready-after", "1", "--", "sleep", "9"),
        # Less than is allowed anyway, in case that it is not refused.
        ("host", "max-map-count", "65530"),
    ],
)
def test_it_is_refused(ksmrun: str, words: tuple[str, ...]) -> None:
    done = without_proc(ksmrun, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"ksmrun: {NOT_MOUNTED}\n"


@pytest.mark.parametrize("words", [("check",), ("check", "--", "true"), ("host", "show")])
def test_it_is_left_out(ksmrun: str, words: tuple[str, ...]) -> None:
    done = without_proc(ksmrun, *words)
    assert done.returncode in (0, 1) and done.stderr == "" and done.stdout


def test_a_program_gets_the_environment_as_it_is(ksmrun: str) -> None:
    """In the C locale Python adds LC_CTYPE to its own."""
    given = ["env", "-i", "B=2", "A=1", "PATH=/usr/bin:/bin"]
    line = COVER + shlex.join([*given, ksmrun, "run", "--quiet", "--merge=off", "--", "env"])
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", line], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n") == [*given[2:], ""]


# Modules are imported by the first call.
FEW = """
import contextlib, io, resource, sys
from ksmrun.cli import run_app
with contextlib.redirect_stdout(io.StringIO()):
    run_app(["ps"])
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
sys.exit(run_app(["ps"]))
"""


def test_too_few_descriptors() -> None:
    """No process is found then, which is not "none merges"."""
    done = subprocess.run([sys.executable, "-c", FEW], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert "Too many open files; raise this process's limit of open files: ulimit" in done.stderr
    assert "Traceback" not in done.stderr
