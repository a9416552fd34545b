"""Programs of 32 bits: i386's, started by the launcher of 64 bits."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
from pathlib import Path
from signal import SIGSEGV

import pytest
from compiled import compile_to
from musl import musl_i386
from waiting import LAST_RESORT_SECONDS

from .conftest import INTEGRATION, Build, words
from .places import Told, told, where
from .test_process import waiting

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="only x86_64 runs them")

LINKED = {
    "pie": (),
    "no_pie": ("-no-pie",),
    "static": ("-static",),
    "static_pie": ("-static-pie",),
    "aligned": ("-Wl,-z,max-page-size=0x200000",),
    "address sanitizer": ("-fsanitize=address",),
}
# Number of personality(2), which containers deny.
PERSONALITY = 135
READ_IMPLIES_EXEC = 0x400000
PT_NULL, PT_GNU_STACK = 0, 0x6474E551


def write_key(file: Path, seed: int) -> str:
    file.write_bytes(random.Random(seed).randbytes(32))
    file.chmod(0o400)
    return str(file)


def several(*command: str) -> list[Told]:
    """Run what starts several programs one after the other."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=LAST_RESORT_SECONDS
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return [told("{" + text) for text in done.stdout.split("{")[1:]]


@pytest.mark.parametrize("by", ["limit", "reservation"])
@pytest.mark.parametrize("linked", LINKED)
def test_places(
    launcher: str, launch: list[str], build: Build, tmp_path: Path, linked: str, by: str
) -> None:
    program = build("where", "-m32", *LINKED[linked])
    prefix = [build("deny"), f"1:{PERSONALITY}"] if by == "reservation" else []
    direct = where(*prefix, program)
    first, second = where(*prefix, *launch, program), where(*prefix, *launch, program, "deep")
    assert first.places == second.places
    assert first.rest == direct.rest and direct.rest["stack_limit"] == 8 << 20
    keys = (write_key(tmp_path / str(seed), seed) for seed in range(3))
    others = [where(*prefix, *words(launcher, key), program) for key in keys]
    is_fixed = linked in ("no_pie", "static")
    # An aligned program has 256 places: two keys may give one, four do not.
    for part, places in enumerate(zip(*(run.places for run in (first, *others)), strict=True)):
        assert (len(set(places)) == 1) is (is_fixed and part == 0), part


MUSL = {"pie": ("-pie",), "no_pie": ("-no-pie",), "static": ("-static",)}


@pytest.mark.parametrize("linked", MUSL)
def test_musl(launch: list[str], build: Build, folder: Path, linked: str) -> None:
    program, threads = (str(folder / f"{name}-musl-{linked}") for name in ("where", "sweep"))
    for target, name in ((program, "where"), (threads, "sweep")):
        options = ["-O1", "-pthread", *MUSL[linked], str(INTEGRATION / f"{name}.c")]
        compile_to(Path(target), [*musl_i386(), *options])
    direct = where(program)
    for prefix in ([], [build("deny"), f"1:{PERSONALITY}"]):
        first, second = (where(*prefix, *launch, program, *words) for words in ([], ["deep"]))
        assert first.places == second.places != direct.places
        assert first.rest == direct.rest
        for deed in ("threads", "last-thread", "forks"):
            command = [*prefix, *launch, threads, deed, "20"]
            subprocess.run(command, stdin=subprocess.DEVNULL, check=True, capture_output=True)
    overflow = subprocess.run([*launch, program, "overflow"], check=False)
    assert overflow.returncode == -SIGSEGV


def test_parts_that_overlap_their_old_places(launcher: str, build: Build, tmp_path: Path) -> None:
    """The stack moves by up to 8 MiB: with 1.5 MiB of arguments, often onto itself."""
    program = build("where", "-m32")
    arguments = ["x" * 100_000] * 15
    for seed in range(16):
        launch = words(launcher, write_key(tmp_path / f"key{seed}", seed))
        few, many = where(*launch, program), where(*launch, program, *arguments)
        assert few.places[0] == many.places[0] and many.rest["argc"] == 16


@pytest.mark.parametrize("scope", ["program", "tree"])
@pytest.mark.parametrize("starter", [("-m32",), ("-m32", "-static"), ()], ids=" ".join)
def test_from_one_kind_to_the_other(
    launch: list[str], build: Build, starter: tuple[str, ...], scope: str
) -> None:
    """A start script of 64 bits starts a server of 32, and the reverse."""
    programs = [build("where"), build("where", "-m32"), build("where", "-m32", "-static")]
    command = [*launch[:-1], f"--layout-scope={scope}", "--", build("starts", *starter), *programs]
    first, second = several(*command), several(*command)
    assert [each.places for each in first] == [each.places for each in second]
    assert [each.rest for each in first] == [where(program).rest for program in programs]
    script = [*launch, "sh", "-c", "for file do $file; done", "sh", *programs]
    assert [each.places for each in several(*script)] == [each.places for each in first]


def test_of_two_kinds_in_path(launch: list[str], build: Build, tmp_path: Path) -> None:
    """It shows only at the exec which of them it is."""
    folders = [tmp_path / "narrow", tmp_path / "wide"]
    for folder, program in zip(folders, [build("where", "-m32"), build("where")], strict=True):
        folder.mkdir()
        shutil.copy(program, folder / "where")
    for order in (folders, folders[::-1]):
        path = ":".join(map(str, [*order, "/usr/bin", "/bin"]))
        command = ["env", f"PATH={path}", *launch, "where"]
        assert where(*command).places == where(*command).places


def test_data_stays_executable(launch: list[str], build: Build, tmp_path: Path) -> None:
    """Old programs without PT_GNU_STACK get READ_IMPLIES_EXEC at the exec."""
    elf = bytearray(Path(build("where", "-m32")).read_bytes())
    (table,), (size, count) = struct.unpack_from("<I", elf, 28), struct.unpack_from("<HH", elf, 42)
    for at in range(table, table + size * count, size):
        if struct.unpack_from("<I", elf, at)[0] == PT_GNU_STACK:
            struct.pack_into("<I", elf, at, PT_NULL)
    program = tmp_path / "old"
    program.write_bytes(elf)
    program.chmod(0o755)
    assert where(str(program)).rest["personality"] == READ_IMPLIES_EXEC
    assert where(*launch, str(program)).rest == where(str(program)).rest


# With a part of the message; a hard limit of the stack is no obstacle.
LEFT = {
    "setarch -3": (["setarch", "-3"], "(setarch -L or -3)"),
    "unlimited stack": (["prlimit", "--stack=unlimited:unlimited"], "lower ulimit -s"),
    "little space": (["prlimit", "--as=900000000", "--stack=8388608:8388608"], "raise ulimit -v"),
}


@pytest.mark.parametrize("name", LEFT)
def test_left(launch: list[str], build: Build, name: str) -> None:
    """One line, and the program as without; or not at all."""
    prefix, what = LEFT[name]
    program = build("where", "-m32")
    command = [*prefix, *launch, program]
    strict = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (strict.returncode, strict.stdout) == (125, "")
    command.remove("--require")
    assert where(*command).rest == where(*prefix, program).rest
    command.remove("--quiet")
    loud = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(loud.stderr.splitlines()) == 1 and what in loud.stderr


def test_a_hard_limit_of_the_stack(launch: list[str], build: Build) -> None:
    prefix, program = ["prlimit", "--stack=8388608:8388608"], build("where", "-m32")
    assert where(*prefix, *launch, program).rest == where(*prefix, program).rest


def test_membership(launcher: str, launch: list[str], key: str, build: Build) -> None:
    program = build("frames", "-m32")
    script = ["sh", "-c", f"{program} wait 7; true"]
    with waiting(*launch, program, "wait", "7") as moved, waiting(program, "wait", "7") as direct:
        pids = [seen.process.name for seen in (moved, direct)]
        check = [launcher, f"--layout-key={key}", "--layout-check", *pids]
        found = subprocess.run(check, capture_output=True, text=True, check=True).stdout
        assert found.split() == [pids[0], "yes", pids[1], "no"]
    # The one that a shell starts, by reservation.
    with waiting(*launch, *script) as shell:
        pid = (shell.process / "task" / shell.process.name / "children").read_text().strip()
        check = [launcher, f"--layout-key={key}", "--layout-check", pid]
        found = subprocess.run(check, capture_output=True, text=True, check=True).stdout
        assert found.split() == [pid, "yes"]
        os.kill(int(pid), 9)
