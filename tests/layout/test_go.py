"""One random value for the static Go programs of a group (AT_RANDOM), and for nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .conftest import Build

STATIC = ("-static", "-nostdlib", "-fno-stack-protector")
SOURCE = """package main

import ("encoding/binary"; "os"; "unsafe")

func main() {
	auxv, _ := os.ReadFile("/proc/self/auxv")
	for ; len(auxv) >= 16; auxv = auxv[16:] {
		if binary.LittleEndian.Uint64(auxv) == 25 {
			place := uintptr(binary.LittleEndian.Uint64(auxv[8:]))
			os.Stdout.Write((*[16]byte)(unsafe.Pointer(place))[:])
		}
	}
}
"""
C_PART = 'package main\n\n// static int one(void) { return 1; }\nimport "C"\n'


def random_of(launcher: str, key: str, program: str | Path, *options: str) -> bytes:
    words = [launcher, "--merge=keep", "--require", "--layout=shared", f"--layout-key={key}"]
    return subprocess.run([*words, *options, "--", program], capture_output=True, check=True).stdout


def is_shared(launcher: str, key: str, program: str | Path) -> bool:
    values = {random_of(launcher, key, program, "--seeds=go") for _ in range(2)}
    assert all(len(value) == 16 for value in values)
    others = [
        random_of(launcher, key, program, f"--seeds={seeds}") for seeds in ("shared", "own") * 2
    ]
    others.append(random_of(launcher, key, program, "--seeds=go", "--layout-group=other"))
    assert len({*others, *values}) == len(others) + len(values)
    return len(values) == 1


def test_a_program_as_go_makes_them(launcher: str, key: str, build: Build) -> None:
    assert is_shared(launcher, key, build("random_of_go", *STATIC))


def test_a_program_that_is_not_from_go(launcher: str, key: str, build: Build) -> None:
    other = Path(build("random_of_go", *STATIC)).with_name("random-of-another")
    subprocess.run(
        ["objcopy", "--remove-section=.note.go.buildid", build("random_of_go", *STATIC), other],
        check=True,
    )
    assert not is_shared(launcher, key, other)


def test_a_program_with_a_c_library(launcher: str, key: str, build: Build) -> None:
    """Its stack canary is a part of the value."""
    assert not is_shared(launcher, key, build("random_of_go", *STATIC, "-DHAS_C"))


@pytest.mark.long_run
@pytest.mark.parametrize("has_c", [False, True])
def test_real_go(launcher: str, key: str, tmp_path: Path, has_c: bool) -> None:
    source = SOURCE.replace("package main\n", C_PART, 1) + "\nvar _ = C.one()\n"
    (tmp_path / "main.go").write_text(source if has_c else SOURCE)
    linking = ["-ldflags", "-linkmode external -extldflags -static"] if has_c else []
    environment = {"GO111MODULE": "off", "GOCACHE": str(tmp_path / "cache")}
    subprocess.run(
        ["go", "build", *linking, "-o", "program", "main.go"],
        cwd=tmp_path,
        env=os.environ | environment,
        check=True,
    )
    assert is_shared(launcher, key, tmp_path / "program") == (not has_c)
