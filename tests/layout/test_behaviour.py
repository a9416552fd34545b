"""Programs behave the same when moved, also under limits and personalities."""

from __future__ import annotations

import subprocess

import pytest
from waiting import LAST_RESORT_SECONDS

from .conftest import Build
from .places import where

# Each with a line that it prints when it has completed.
DEEDS = {
    "threads": "200 threads with 8388608 bytes, 8 MiB for the first",
    "libraries": "cos(0) = 1 in libm.so.6",
    "children": "abort -6",
    "signals": "SIGSEGV where the stack ended, all of it used",
    "memory": "brk, mmap and malloc",
    "lock": "brk, mmap and malloc",
    "contexts": "in a context of its own",
    "vdso": "time without a system call",
    "title": "worker: a title longer than what was there before it came",
    "again": "posix_spawn 5",
}
LINKED = {
    "pie": (),
    "execstack": ("-Wl,-z,execstack",),
    "no_pie": ("-no-pie",),
    "pie_32": ("-m32",),
    "no_pie_execstack_32": ("-m32", "-no-pie", "-Wl,-z,execstack"),
}


def outcome(command: list[str]) -> tuple[int, str, str]:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=LAST_RESORT_SECONDS
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("linked", LINKED)
@pytest.mark.parametrize("deed", DEEDS)
def test_deed(launch: list[str], build: Build, deed: str, linked: str) -> None:
    program = build("behave", *LINKED[linked])
    direct = outcome([program, deed])
    assert (direct[0], direct[2]) == (0, "") and DEEDS[deed] in direct[1].splitlines(), direct
    assert outcome([*launch, program, deed]) == direct


@pytest.mark.parametrize("deed", DEEDS)
def test_deed_of_nobody(launch_as_nobody: list[str], build: Build, deed: str) -> None:
    program = build("behave")
    end = launch_as_nobody.index("--no-new-privs") + 1
    direct = outcome([*launch_as_nobody[:end], program, deed])
    assert outcome([*launch_as_nobody, program, deed]) == direct


# Context of the launcher, and so of the program.
UNDER = {
    "hardly more address space than it needs": ["prlimit", "--as=8000000"],
    "hardly more data than it needs": ["prlimit", "--data=1000000"],
    "no locked memory": ["prlimit", "--memlock=0"],
    "unlimited stack": ["prlimit", "--stack=unlimited:unlimited"],
    "few descriptors": ["prlimit", "--nofile=7"],
    "no signal queue": ["prlimit", "--sigpending=0"],
    "eager binding": ["env", "LD_BIND_NOW=1"],
    "not randomised by the user": ["setarch", "-R"],
    "READ_IMPLIES_EXEC": ["setarch", "-X"],
    "ADDR_LIMIT_3GB": ["setarch", "-3"],
    "MMAP_PAGE_ZERO": ["setarch", "-Z"],
    "real time": ["chrt", "-f", "1"],
}


@pytest.mark.parametrize("name", UNDER)
def test_under(launch: list[str], build: Build, name: str) -> None:
    program, prefix = build("where"), UNDER[name]
    direct, moved = where(*prefix, program), where(*prefix, *launch, program)
    assert moved.places == where(*launch, program).places
    assert moved.rest == direct.rest


@pytest.mark.parametrize("bits", [64, 32])
def test_hardly_any_stack(launch: list[str], build: Build, bits: int) -> None:
    """A hard limit, which the helper has too, and arguments that take a third of it."""
    prefix = ["prlimit", f"--stack={64 << 10}:{64 << 10}"]
    command = [build("where", *["-m32"] * (bits == 32)), "x" * 20_000]
    moved = where(*prefix, *launch, *command)
    assert moved.places[0] == where(*launch, *command).places[0]
    assert moved.rest == where(*prefix, *command).rest


def test_many_groups(launch: list[str], build: Build) -> None:
    """/proc/PID/status is long then, and lines after the groups still count."""
    groups = ["setpriv", "--groups=" + ",".join(map(str, range(1, 3000)))]
    tree = [*launch[:-1], "--layout-scope=tree", "--"]
    program = build("where")
    assert where(*groups, *tree, program).places == where(*launch, program).places


@pytest.mark.parametrize("limit", ["--nofile=6", "--nproc=1"])
def test_too_little_for_the_helper(launch_as_nobody: list[str], build: Build, limit: str) -> None:
    """Limits of processes do not apply to root."""
    end = launch_as_nobody.index("--no-new-privs") + 1
    user, launcher = launch_as_nobody[:end], launch_as_nobody[end:]
    command = [*user, "prlimit", limit, *launcher, build("where")]
    line = "ksmrun-exec: shared layout not applied: the helper that moves"
    code, stdout, stderr = outcome(command)
    assert (code, stdout) == (125, "") and stderr.startswith(line), stderr
    assert len(stderr.splitlines()) == 1 and "ulimit" in stderr
    command.remove("--require")
    first, second = where(*command), where(*command)
    assert first.rest == second.rest == where(build("where")).rest
    assert not set(first.places) & set(second.places)


# As long as it lives, other children of the parent cannot be what a wrapper waits for.
WORKER = "my $pid = fork() // die; if (!$pid) { sleep 600; exit }"


def test_descendants_are_randomised(launch: list[str], build: Build) -> None:
    """The kernel randomises them as usual: a child beside another one is a server's."""
    program = build("where")
    again = [*launch, "perl", "-e", f"{WORKER} system(@ARGV); kill 9, $pid; wait", program]
    moved, first, second = where(*launch, program), where(*again), where(*again)
    for places in zip(moved.places, first.places, second.places, strict=True):
        assert len(set(places)) == 3
    assert moved.rest == first.rest == second.rest


# Built with sanitizers, which depend on addresses: what they must find, and how the program ends
# then.
SANITIZERS = {
    "address": ("heap", 1, "heap-buffer-overflow"),
    "leak": ("leak", 23, "detected memory leaks"),
    "thread": ("race", 66, "data race"),
    "undefined": ("overflow", 1, "signed integer overflow"),
}


@pytest.mark.parametrize("name", SANITIZERS)
def test_sanitizer(launch: list[str], build: Build, name: str) -> None:
    fault, code, finding = SANITIZERS[name]
    program = build("faulty", f"-fsanitize={name}", "-fno-sanitize-recover=all")
    assert outcome([*launch, program]) == outcome([program]) == (0, "good\n", "")
    for prefix in ([], launch):
        found = outcome([*prefix, program, fault])
        assert found[0] == code and finding in found[2], (prefix, found)
        # The program's own memory, by name.
        assert "faulty.c:" in found[2]
