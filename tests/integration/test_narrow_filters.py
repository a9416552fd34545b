"""A program that gives up nearly all system calls: the shim makes none that it did not request."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from compiled import compile_to

SOURCE = Path(__file__).parent / "programs/narrow.c"
OPTIONS = {
    "directly": None,
    "seeds": ("--layout=shared",),
    "flag from inside": ("--mechanism=preload",),
    "marks": ("--mechanism=mark",),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("call", ["prctl", "seccomp"])
@pytest.mark.parametrize("mode", ["filter", "strict"])
def test_it_ends_by_itself(
    ksmrun: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    call: str,
    options: tuple[str, ...] | None,
) -> None:
    monkeypatch.setenv("KSMRUN_LAYOUT_DIR", str(tmp_path / "keys"))
    program = tmp_path / "narrow"
    compile_to(program, ["gcc", "-O1", SOURCE])
    launch = [] if options is None else [ksmrun, "run", "--quiet", *options, "--"]
    done = subprocess.run([*launch, program, mode, call], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (5, "lives\n", "")
