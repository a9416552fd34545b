"""Wrappers, recognised by name or by what they do, pass their group's layout on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from compiled import compile_to
from waiting import LAST_RESORT_SECONDS, wait_until

from .conftest import SOURCES, Programs
from .support.layouts import AS_PID_1, folder, key, kinds, launch, parts, tracer_of, where, write

__all__ = ["folder", "key", "kinds", "launch"]

NAMED = {
    "tini": "{tini} -s -- {where}",
    "catatonit": "catatonit -- {where}",
    "runuser": "runuser -u nobody -- {where}",
    "chroot": "chroot / {where}",
    "flock": "flock {folder}/lock {where}",
    "flock -c": "flock {folder}/lock -c {where}",
    "unshare": "unshare --mount {where}",
    "unshare --fork": "unshare --pid --fork {where}",
    "nsenter": "nsenter -t {pid} -m {where}",
    "xargs": "xargs -a /dev/null {where}",
    "script": "script -qec {where} /dev/null",
}
# Of the host's libc.
LOADER = "/lib64/ld-linux-x86-64.so.2"
# None of these is in the list of names.
BEHAVING = {
    "perl": ["perl", "-e", "exec '{where}'"],
    "python": [sys.executable, "-c", "import os; os.execv('{where}', ['w'])"],
    "python's child": [sys.executable, "-c", "import subprocess; subprocess.run('{where}')"],
    "after helpers": [
        "perl",
        "-e",
        "system('true'); system('id -u >/dev/null'); system('{where}')",
    ],
    "helpers, then exec": ["perl", "-e", "system('true') for 1 .. 3; exec '{where}'"],
    "a shell through its loader": [LOADER, "/bin/sh", "-c", "sleep 1.2; {where}; :"],
    "perl through its loader": [LOADER, "--argv0", "p", "/usr/bin/perl", "-e", "exec '{where}'"],
    "another init": ["{folder}/an-init", "-s", "--", "{where}"],
    "a chain": ["perl", "-e", "exec 'perl', '-e', 'exec qq({where})'"],
}


@pytest.fixture
def expected(launch: list[str], kinds: Programs, folder: Path) -> tuple[int, ...]:
    alone = write(folder / "alone", f"#!/bin/sh\nexec {kinds.where}\n")
    return parts(where(*launch, alone))


@pytest.mark.parametrize("name", NAMED)
def test_by_name(
    launch: list[str], kinds: Programs, folder: Path, expected: tuple[int, ...], name: str
) -> None:
    tini = shutil.which("tini")
    command = NAMED[name].format(where=kinds.where, folder=folder, tini=tini, pid=os.getpid())
    assert shutil.which(command.split()[0]) is not None
    assert parts(where(*launch, *command.split())) == expected


@pytest.mark.parametrize("prefix", [(), ("sh", "-c", '"$@"; exit $?', "sh")])
@pytest.mark.parametrize("name", BEHAVING)
def test_by_behaviour(
    launch: list[str],
    kinds: Programs,
    folder: Path,
    expected: tuple[int, ...],
    name: str,
    prefix: tuple[str, ...],
) -> None:
    shutil.copy("/usr/bin/tini", folder / "an-init")
    command = [word.format(where=kinds.where, folder=folder) for word in BEHAVING[name]]
    assert parts(where(*launch, *prefix, *command)) == expected


def test_a_trial_ends(launch: list[str]) -> None:
    """A program that stays is not traced any more after its first moments, and does not notice."""
    code = "import os; print('ready', flush=True); print(os.read(0, 9), flush=True)"
    for prefix in ((), ("sh", "-c", '"$@"; exit $?', "sh")):
        process = subprocess.Popen(
            [*launch, *prefix, sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        python = process.pid if not prefix else child_of(process.pid)
        wait_until(lambda pid=python: tracer_of(pid) == 0)  # type: ignore[misc]
        output, _ = process.communicate(b"go", timeout=LAST_RESORT_SECONDS)
        assert (process.returncode, output) == (0, b"b'go'\n")


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def test_a_trial_of_more_children_than_can_be_followed(
    launch: list[str], programs: Programs
) -> None:
    """None of them stays traced: those beyond are released at once."""
    program, count = programs.folder / "family", 200
    compile_to(program, ["gcc", "-O1", "-pthread", SOURCES / "family.c"])
    process = subprocess.Popen(
        [*launch, program, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    helper = tracer_of(process.pid)
    assert helper != 0
    # It finds all of them at once.
    os.kill(helper, signal.SIGSTOP)
    process.stdin.write(b"x")
    process.stdin.flush()
    wait_until(lambda: len(children_of(process.pid)) == count)
    os.kill(helper, signal.SIGCONT)
    for pid in (process.pid, *children_of(process.pid)):
        wait_until(lambda pid=pid: tracer_of(pid) == 0)  # type: ignore[misc]
    process.communicate(b"", timeout=LAST_RESORT_SECONDS)
    assert process.returncode == 0


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def test_no_trial_of_what_cannot_start_anything(launch: list[str]) -> None:
    """It is released before its first instruction, as debuggers are."""
    for command in (["cat"], ["gdb", "-nx", "-q"]):
        process = subprocess.Popen(
            [*launch, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        wait_until(
            lambda pid=process.pid, name=command[0]: (  # type: ignore[misc]
                Path(f"/proc/{pid}/comm").read_text() == f"{name}\n"
            )
        )
        wait_until(lambda pid=process.pid: tracer_of(pid) == 0)  # type: ignore[misc]
        process.communicate(b"", timeout=LAST_RESORT_SECONDS)


def test_an_init_as_pid_1(launch: list[str], kinds: Programs) -> None:
    first, second = (
        where(*AS_PID_1, *launch, "catatonit", "--", kinds.where, *more) for more in ((), ("a",))
    )
    assert parts(first) == parts(second)


# Those that wait for any child must get their own, though the helper is one as well.
PID_1 = {
    "an init": ["{folder}/an-init", "-s", "--", "{where}"],
    "perl": ["perl", "-e", "exec @ARGV", "{where}"],
    "a name in PATH": ["{folder}/an-init", "-s", "--", "in-path"],
    "python's child": [
        sys.executable,
        "-c",
        "import os, sys; child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ); "
        "sys.exit(os.wait() != (child, 0))",
        "{where}",
    ],
}


@pytest.mark.parametrize("name", PID_1)
def test_any_wrapper_as_pid_1(
    launch: list[str],
    kinds: Programs,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    expected: tuple[int, ...],
    name: str,
) -> None:
    """No list names it, and an argument of its own is a program."""
    shutil.copy("/usr/bin/tini", folder / "an-init")
    shutil.copy(kinds.where, folder / "in-path")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    command = [word.format(where=kinds.where, folder=folder) for word in PID_1[name]]
    assert parts(where(*AS_PID_1, *launch, *command)) == expected


def test_all_that_a_supervisor_starts(
    launch: list[str], kinds: Programs, folder: Path, expected: tuple[int, ...]
) -> None:
    code = f"import subprocess\nfor _ in range(3): subprocess.run('{kinds.where}')\n"
    script = write(folder / "supervisord", f"#!{sys.executable}\n{code}")
    for prefix in ((), AS_PID_1):
        done = subprocess.run(
            [*prefix, *launch, script, "-n"],
            capture_output=True,
            text=True,
            check=True,
            timeout=LAST_RESORT_SECONDS,
        )
        found = done.stdout.replace("}\n{", "}\0{").split("\0")
        assert [parts(json.loads(text)) for text in found] == [expected] * 3


# prctl(2): PR_SET_CHILD_SUBREAPER. As systemd does for Type=forking: when the script has ended, the
# one remaining child is the main process.
MANAGER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
def left():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            name, _, rest = open(f"/proc/{pid}/stat").read().partition("(")[2].rpartition(")")
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if int(parent) == os.getpid() and state != "Z":
            found.append((int(pid), name))
    return found
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
os.waitpid(child, 0)
print(__import__("json").dumps(left()))
"""


@pytest.mark.parametrize("scope", ["program", "tree"])
@pytest.mark.parametrize("wait", ["", "sleep 0.1\n"])
def test_the_helper_ends_with_a_script_whose_parent_would_count_it(
    launch: list[str], kinds: Programs, folder: Path, scope: str, wait: str
) -> None:
    """And not before what the script has just forked is moved."""
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    server = f"({kinds.where} >{folder}/found; exec cat {fifo}) </dev/null >/dev/null 2>&1 &"
    script = write(folder / "script", f"#!/bin/sh\n{server}\n{wait}")
    scoped = [*launch[:-1], f"--layout-scope={scope}", "--"]
    done = subprocess.run(
        [sys.executable, "-c", MANAGER, *scoped, str(script)],
        capture_output=True,
        text=True,
        check=True,
        timeout=LAST_RESORT_SECONDS,
    )
    left = json.loads(done.stdout)
    try:
        assert len(left) == 1, left
    finally:
        for pid, _ in left:
            os.kill(pid, signal.SIGKILL)


def test_a_server_that_is_forked_last(
    launch: list[str], kinds: Programs, folder: Path, expected: tuple[int, ...]
) -> None:
    script = write(folder / "script", f"#!/bin/sh\n{kinds.where} >{folder}/found &\n")
    moved = 0
    for _ in range(10):
        subprocess.run(
            [sys.executable, "-c", MANAGER, *launch, str(script)],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=LAST_RESORT_SECONDS,
        )
        wait_until(lambda: (folder / "found").read_text().endswith("}\n"))
        moved += parts(json.loads((folder / "found").read_text())) == expected
        (folder / "found").unlink()
    # On a busy machine one may need longer for its exec than is waited for (follow.c: ENDING_MS).
    assert moved >= 7


def test_a_program_through_its_loader(launch: list[str], kinds: Programs) -> None:
    """The loader is what the kernel executes, and the program what it maps."""
    first, second = (where(*launch, LOADER, kinds.where, *more) for more in ((), ("a",)))
    assert parts(first) == parts(second)
