"""Shared layout: equal addresses within a group, different ones outside, and normal programs."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import LAST_RESORT_SECONDS, wait_until

from .conftest import Programs, start_equal_programs, stop
from .support.layouts import (
    AS_PID_1,
    KINDS,
    PARTS,
    TABLES,
    key,
    keys,
    kinds,
    launch,
    parts,
    share_merged,
    shared,
    where,
)
from .test_transparency import comparable

__all__ = ["key", "keys", "kinds", "launch", "shared"]


@pytest.mark.parametrize("kind", KINDS)
def test_equal_in_a_group_and_secret_outside(
    shared: tuple[str, ...], kinds: Programs, kind: str, tmp_path: Path
) -> None:
    program = getattr(kinds, kind)
    first = where(*shared, program)
    # Another length of arguments and environment, another folder.
    longer = {**os.environ, "LONG": "x" * 3000}
    second = where(*shared, program, *map(str, range(500)), env=longer, cwd=tmp_path)
    assert parts(first) == parts(second)
    other = where(*shared[:-1], "--layout-group=other", "--", program)
    fixed = {"program"} if kind in ("where_no_pie", "where_static", "where_musl_static") else set()
    for part in PARTS:
        assert (first[part] == other[part]) is (part in fixed), part
    # What the kernel decides for each process individually stays so.
    assert first["random"] != second["random"]


@pytest.mark.parametrize("kind", KINDS)
def test_all_else_is_as_without(shared: tuple[str, ...], kinds: Programs, kind: str) -> None:
    program = getattr(kinds, kind)
    direct, wrapped = where(program, "a"), where(*shared, program, "a")
    for name in set(direct) - {*PARTS, "random"}:
        assert direct[name] == wrapped[name], name
    where(*shared, program, "deep")
    overflow = subprocess.run([*shared, program, "overflow"], capture_output=True, check=False)
    assert overflow.returncode == -signal.SIGSEGV


@pytest.mark.parametrize("limit", ["unlimited", "100", "60000"])
def test_stack_limits(shared: tuple[str, ...], kinds: Programs, limit: str) -> None:
    command = f"ulimit -Ss {limit} && exec {' '.join(shared)} {kinds.where}"
    direct = where("bash", "-c", f"ulimit -Ss {limit} && exec {kinds.where}")
    first, second = where("bash", "-c", command), where("bash", "-c", command + " a b c")
    assert parts(first)[2:] == parts(second)[2:]
    assert first["stack_limit"] == direct["stack_limit"]


def test_many_arguments(shared: tuple[str, ...], kinds: Programs) -> None:
    words = [str(number) for number in range(100_000)]
    assert where(*shared, kinds.where, *words)["argc"] == 100_001


def test_the_program_sees_the_same(
    see: Callable[..., dict[str, Any]], shared: tuple[str, ...]
) -> None:
    # Without seeds of its own in the environment.
    direct = comparable(see())
    wrapped = comparable(see((*shared[:-1], "--seeds=own", "--")))
    # The auxiliary vector contains addresses, and the helper's parent was waited for.
    differing = {key for key in direct if direct[key] != wrapped[key]}
    assert differing <= {"auxv", "children_faults"}


def test_a_script(shared: tuple[str, ...], kinds: Programs, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!{kinds.where}\n")
    script.chmod(0o755)
    assert parts(where(*shared, script)) == parts(where(*shared, script, "x"))


def test_seeds(shared: tuple[str, ...]) -> None:
    names = ("PYTHONHASHSEED", "PERL_HASH_SEED", "PERL_PERTURB_KEYS")

    def seeds(*command: str, **environment: str) -> dict[str, str]:
        base = {**{k: v for k, v in os.environ.items() if k not in names}, **environment}
        done = subprocess.run(
            [*command, "env"], capture_output=True, text=True, check=True, env=base
        )
        pairs = (line.partition("=")[::2] for line in done.stdout.splitlines())
        return {name: text for name, text in pairs if name in names}

    first = seeds(*shared)
    assert set(first) == set(names) and seeds(*shared) == first
    assert seeds(*shared, PYTHONHASHSEED="7")["PYTHONHASHSEED"] == "7"
    assert seeds(*shared[:-1], "--layout-group=other", "--") != first
    assert seeds(*shared[:-1], "--seeds=own", "--") == {}
    code = "print(hash('ksmrun'))"
    run = [*shared, sys.executable, "-c", code]
    outputs = {subprocess.run(run, capture_output=True, check=True).stdout for _ in range(2)}
    assert len(outputs) == 1


SUBREAPER = "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); "
SUBREAPER += "os.execv(sys.argv[1], sys.argv[1:])"


def test_as_pid_1(launch: list[str], kinds: Programs) -> None:
    """The helper is then the program's child, which waits for it before its first instruction."""
    expected = parts(where(*launch, kinds.where))
    assert parts(where(*AS_PID_1, *launch, kinds.where)) == expected
    subreaper = (sys.executable, "-c", SUBREAPER)
    assert parts(where(*subreaper, *launch, kinds.where)) == expected
    code = (
        "import os, signal\n"
        "try: os.wait(); print('a child')\n"
        "except ChildProcessError: print('none')\n"
        "print(os.getpid(), len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),"
        " len(signal.sigpending()))\n"
    )
    done = subprocess.run(
        [*AS_PID_1, *launch, sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.stdout.split() == ["none", "1", "0", "0"]
    blocked = [sys.executable, "-c", BLOCKING, *AS_PID_1, *launch, sys.executable, "-c", code]
    done = subprocess.run(blocked, capture_output=True, text=True)
    assert done.stdout.split() == ["none", "1", "1", "0"], (
        "SIGCHLD stays blocked and is not pending"
    )
    missing = subprocess.run(
        [*AS_PID_1, *launch, "/nothing"], capture_output=True, timeout=LAST_RESORT_SECONDS
    )
    assert missing.returncode == 127


BLOCKING = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD]); "
BLOCKING += "os.execvp(sys.argv[1], sys.argv[1:])"


def test_nothing_stays(shared: tuple[str, ...]) -> None:
    """No child, no zombie, no tracer, and none of the helper's descriptors."""
    code = (
        "import os, time\n"
        "try: os.wait(); print('a child')\n"
        "except ChildProcessError: print('none')\n"
        # It is traced in its first moments, because it might be a wrapper.
        "tracer = lambda: open('/proc/self/status').read().split('TracerPid:')[1].split()[0]\n"
        "while tracer() != '0': time.sleep(0.01)\n"
    )
    done = subprocess.run([*shared, sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["none"]


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGTSTP, signal.SIGUSR1, signal.SIGINT])
def test_signals_during_the_launch(
    launch: list[str], kinds: Programs, number: signal.Signals
) -> None:
    """Whenever they arrive, their effect is the same as without a helper."""
    expected = parts(where(*launch, kinds.where))
    for _ in range(40):
        process = subprocess.Popen([*launch, kinds.where], stdout=subprocess.PIPE, text=True)
        time.sleep(random.random() * 0.004)
        process.send_signal(number)
        time.sleep(0.001)
        process.send_signal(signal.SIGCONT)
        output, _ = process.communicate(timeout=LAST_RESORT_SECONDS)
        if process.returncode == 0:
            assert parts(json.loads(output)) == expected
        else:
            assert number in (signal.SIGUSR1, signal.SIGINT)
            assert process.returncode == -number


@pytest.mark.usefixtures("ksm_on")
def test_pages_with_pointers_merge(ksmrun: str) -> None:
    """Without a shared layout hardly any merge."""
    saved = []
    for options in ((), ("--layout=shared",)):
        command = (ksmrun, "run", "--quiet", *options, "--")
        programs = start_equal_programs(ksmrun, 4, command=command, code=TABLES)
        pids = [program.pid for program in programs]
        if options:
            wait_until(lambda pids=pids: share_merged(pids) > 0.85)  # type: ignore[misc]
        else:
            time.sleep(3)
        saved.append(share_merged(pids))
        stop(programs)
    assert saved[0] < 0.4
