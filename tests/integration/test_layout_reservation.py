"""Reservation above the mmap area, where the exec cannot place that area.

Default profiles of containers deny the personality for it, and start scripts are followed after
their exec.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from compiled import compile_to
from waiting import wait_until

from .conftest import Programs, start_equal_programs, stop
from .support.layouts import KINDS, TABLES, key, kinds, launch, parts, share_merged, where

__all__ = ["key", "kinds", "launch"]

PERSONALITY = 135


@pytest.fixture
def denied(launch: list[str], programs: Programs) -> list[str]:
    """Launch where a filter makes personality fail."""
    return [programs.deny, f"1:{PERSONALITY}", *launch[:-1], "--require", "--"]


def check(kinds: Programs, kind: str, *launches: list[str]) -> None:
    program = getattr(kinds, kind)
    first, second = (
        where(*launch, program, *words)
        for launch, words in zip(launches, ([], ["a"] * 300), strict=True)
    )
    assert parts(first) == parts(second)
    direct = where(*launches[0][:2], program)
    for name in ("personality", "stack_limit", "dumpable"):
        assert first[name] == direct[name]
    for words in (["deep"], ["overflow"]):
        done = subprocess.run([*launches[0], program, *words], capture_output=True, check=False)
        bare = subprocess.run([program, *words], capture_output=True, check=False)
        assert done.returncode == bare.returncode


@pytest.mark.parametrize("kind", KINDS)
def test_equal_and_normal(denied: list[str], kinds: Programs, kind: str) -> None:
    check(kinds, kind, denied, denied)


def test_secret_outside_the_group(denied: list[str], kinds: Programs) -> None:
    other = [*denied[:-1], "--layout-group=other", "--"]
    first, second = where(*denied, kinds.where), where(*other, kinds.where)
    assert all(a != b for a, b in zip(parts(first), parts(second), strict=True))


@pytest.mark.parametrize("limit", ["unlimited", "100", "60000"])
def test_stack_limits(denied: list[str], kinds: Programs, limit: str) -> None:
    limited = ["bash", "-c", f'ulimit -Ss {limit} && exec "$@"', "bash", *denied]
    first, second = where(*limited, kinds.where), where(*limited, kinds.where)
    # In the smallest stack the arguments stay where the kernel put them.
    compared = slice(2, None) if limit == "100" else slice(None)
    assert parts(first)[compared] == parts(second)[compared]
    if limit == "60000":
        where(*limited, kinds.where, "deep")


# Soft alone, where the exec places the mmap area, and hard too, where a reservation does.
@pytest.mark.parametrize("limit", ["-Ss 128", "-s 128", "-Ss 256", "-s 256"])
def test_a_small_stack_can_be_filled(launch: list[str], kinds: Programs, limit: str) -> None:
    for prefix in ([], [*launch[:-1], "--require", "--"]):
        limited = ["bash", "-c", f'ulimit {limit} && exec "$@"', "bash", *prefix]
        assert where(*limited, kinds.where, "deep")["argc"] == 2


LIMITS_ITSELF = """
import resource, sys
resource.setrlimit(resource.RLIMIT_STACK, (int(sys.argv[1]), resource.RLIM_INFINITY))
print("ready", flush=True)
sys.stdin.read()
"""


# The third leaves no room for a reservation at an exec.
@pytest.mark.parametrize("stack_bytes", [1 << 20, 1 << 30, 36 << 40, -1])
def test_it_is_recognised_after_a_change_of_its_limit(
    denied: list[str], launcher: str, key: str, stack_bytes: int
) -> None:
    process = subprocess.Popen(
        [*denied, sys.executable, "-c", LIMITS_ITSELF, str(stack_bytes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    asked = [launcher, f"--layout-key={key}", "--layout-check", str(process.pid)]
    found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    process.communicate()
    assert found == f"{process.pid} yes\n"


def test_a_hard_stack_limit(launch: list[str], kinds: Programs) -> None:
    limited = ["bash", "-c", 'ulimit -Hs 100000; exec "$@"', "bash", *launch]
    assert parts(where(*limited, kinds.where)) == parts(where(*limited, kinds.where))


@pytest.mark.parametrize("answer", ["1", "kill"])
def test_threads_and_maps(launch: list[str], programs: Programs, answer: str) -> None:
    """New mappings go below the group's top, never above. The filter may also kill the caller."""
    denied = [programs.deny, f"{answer}:{PERSONALITY}", *launch[:-1], "--require", "--"]
    code = (
        "import mmap, threading\n"
        "held = [mmap.mmap(-1, 1 << 20) for _ in range(2000)]\n"
        "barrier = threading.Barrier(101)\n"
        "threads = [threading.Thread(target=barrier.wait) for _ in range(100)]\n"
        "[t.start() for t in threads]\n"
        "lines = [l.split() for l in open('/proc/self/maps')]\n"
        "tops = [int(l[0].split('-')[1], 16) for l in lines if l[1] == '---p']\n"
        "top = max(tops)\n"
        "print(sum(int(l[0].split('-')[0], 16) >= top for l in lines))\n"
        "barrier.wait()\n"
    )
    done = subprocess.run(
        [*denied, "python3", "-c", code], capture_output=True, text=True, check=True
    )
    # Stack and vsyscall.
    assert done.stdout.split() == ["2"]


def key_that_overlaps(program: str) -> bytes:
    """Return a key whose program base is within 1 GiB of the place without randomisation."""
    notes = subprocess.run(["readelf", "-n", program], capture_output=True, text=True, check=True)
    build_id = bytes.fromhex(notes.stdout.partition("Build ID: ")[2].split()[0])
    numbers = random.Random(3)
    while True:
        found = numbers.randbytes(32)
        digest = hmac.new(found, b"program\0" + build_id, hashlib.sha256).digest()
        if 0 < int.from_bytes(digest[:8], "big") % (1 << 28) < (1 << 18):
            return found


def test_a_program_that_would_step_on_itself(
    launcher: str, kinds: Programs, tmp_path: Path
) -> None:
    """Not randomised for its exec, it has a known place; it is moved through another one."""
    key = tmp_path / "key"
    key.write_bytes(key_that_overlaps(kinds.where_bss))
    key.chmod(0o400)
    command = [launcher, "--quiet", "--require", "--layout=shared"]
    command += [f"--layout-key={key}", "--", kinds.where_bss]
    first, second = where(*command), where(*command, "a")
    assert parts(first) == parts(second)
    base = 0x555555554000
    assert 0 < first["program"] - base < 2 << 30


@pytest.mark.parametrize("option", ["", "--require"])
def test_limited_address_space_in_a_script(
    launcher: str, key: str, kinds: Programs, tmp_path: Path, option: str
) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!/bin/bash\nulimit -v 9000000\n{kinds.where}\necho $?")
    script.chmod(0o755)
    run = [launcher, "--merge=keep", "--layout=shared", f"--layout-key={key}"]
    done = subprocess.run(
        [*run, *filter(None, [option]), "--", script], capture_output=True, text=True, check=True
    )
    line = done.stderr.splitlines()[0]
    assert "its address space is limited" in line and str(kinds.where) in line
    if option:
        assert done.stdout == "125\n"
    else:
        assert done.stdout.endswith("}\n0\n")
        json.loads(done.stdout.removesuffix("0\n"))


@pytest.mark.usefixtures("ksm_on")
def test_it_merges_and_the_reservation_does_not_count(denied: list[str]) -> None:
    programs = start_equal_programs("", 4, command=denied, code=TABLES)
    pids = [program.pid for program in programs]
    wait_until(lambda: share_merged(pids) > 0.85)
    for pid in pids:
        smaps = Path(f"/proc/{pid}/smaps").read_text()
        sizes = [int(part.split()[0]) for part in smaps.split("\nSize:")[1:]]
        flags = [part.split("\n")[0].split() for part in smaps.split("\nVmFlags:")[1:]]
        assert "mg" not in flags[sizes.index(max(sizes))] and max(sizes) > 1 << 30
    stop(programs)


# What each is built with, and what it tells of a fault: its shadow memory bears no reservation.
SANITIZERS = {
    "memory": ("clang", "use-of-uninitialized-value"),
    "thread": ("gcc", "data race"),
    "dataflow": ("clang", None),
}
FAULTS = """
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static int shared;
static void *race(void *unused) { shared++; return unused; }
int main(int count, char **words) {
    int *numbers = malloc(400);
    (void)words;
    if (count > 1) {
        pthread_t other;
        pthread_create(&other, NULL, race, NULL);
        shared++;
        pthread_join(other, NULL);
        if (numbers[count]) puts("uninitialised");
    }
    puts("end");
    free(numbers);
}
"""


@pytest.mark.parametrize("way", ["script", "filter"])
@pytest.mark.parametrize("name", SANITIZERS)
def test_sanitizers_keep_the_kernels_layout(
    launch: list[str], programs: Programs, tmp_path: Path, name: str, way: str
) -> None:
    """They start, find what they are to find, and one line says what they do without."""
    compiler, finding = SANITIZERS[name]
    source, program = tmp_path / "faults.c", tmp_path / "faults"
    source.write_text(FAULTS)
    compile_to(program, [compiler, "-g", f"-fsanitize={name}", "-pthread", source])
    # Shadow memory is terabytes large: where it merges, unmerging walks all of it (mm/ksm.c:
    # unmerge_ksm_pages), which keeps a test beside this one from ending.
    launch = [word for word in launch if word != "--quiet"]
    launch.insert(1, "--merge=off")
    if way == "script":
        words = [*launch, "sh", "-c", '"$@"; exit $?', "sh", str(program)]
    else:
        words = [programs.deny, f"1:{PERSONALITY}", *launch, str(program)]
    good = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout) == (0, "end\n"), good
    said = [line for line in good.stderr.splitlines() if "KSM is off" not in line]
    assert len(said) == 1 and "is built with a sanitizer" in said[0], said
    if finding is not None:
        bad = subprocess.run([*words, "fault"], capture_output=True, text=True, check=False)
        assert bad.returncode != 0 and finding in bad.stderr
