"""Debuggers, profilers, tracers and core files work with a moved program."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Build
from .places import told, where
from .test_process import waiting

CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
FRAMES = ("inner (number=14, what=", "outer (number=", "main (argc=")
# Message if a launch is under another tracer already.
TRACED = "this process cannot be traced"


def output(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done
    return done.stdout + done.stderr


def gdb(*arguments: str, commands: tuple[str, ...], cwd: Path | None = None) -> str:
    words = [word for command in commands for word in ("-ex", command)]
    text = output("gdb", "-nx", "-batch", *words, *arguments, cwd=cwd)
    assert not re.search(r"Cannot|Couldn't|No symbol|\?\?\s*\(\)|corrupt", text), text
    return text


def check_frames(text: str, what: str) -> None:
    """Check functions and arguments, from the innermost one of ours on."""
    places = [text.index(frame) for frame in FRAMES]
    assert places == sorted(places), text
    assert f'"{what}"' in text
    assert "AT_SYSINFO_EHDR" in text and "libc.so.6" in text


def test_launch_inside_a_launch(launch: list[str], build: Build) -> None:
    """A wrapped unit's script may start the server by ksmrun too: the outer launch counts."""
    inner = [word for word in launch if word not in ("--require", "--quiet")]
    script = [*launch, "sh", "-c", "$0 $@; exit"]
    nested = subprocess.run(
        [*script, *inner, build("where")], capture_output=True, text=True, check=True
    )
    assert "started by a launch with a shared layout" in nested.stderr
    assert told(nested.stdout).places == where(*script, build("where")).places


INSPECT = ("backtrace", "info auxv", "info sharedlibrary", "info symbol inner", "info line inner")


@pytest.mark.parametrize("linked", [(), ("-no-pie",)], ids=["pie", "no_pie"])
def test_gdb_attaches(launch: list[str], build: Build, linked: tuple[str, ...]) -> None:
    with waiting(*launch, build("frames", *linked), "wait", "7") as seen:
        text = gdb("-p", seen.process.name, commands=INSPECT)
        check_frames(text, "wait")
        assert "pause" in text and "inner in section .text" in text
        assert "[stack]" in gdb("-p", seen.process.name, commands=("info proc mappings",))


def test_core_of_a_running_program(launch: list[str], build: Build, tmp_path: Path) -> None:
    program = build("frames")
    with waiting(*launch, program, "wait", "7") as seen:
        output("gcore", "-o", str(tmp_path / "core"), seen.process.name)
    (core,) = tmp_path.glob("core*")
    check_frames(gdb(program, str(core), commands=INSPECT), "wait")


def test_gdb_debugs(launch: list[str], build: Build) -> None:
    """The launcher runs under gdb: the program starts, not moved, and gdb follows it as usual."""
    program = build("frames")
    command = [*launch, program, "spin", "7"]
    strict = output("gdb", "-nx", "-batch", "-ex", "run", "--args", *command)
    assert TRACED in strict and "exited with code 0175" in strict
    command.remove("--require")
    command.remove("--quiet")
    steps = ("set breakpoint pending on", "break inner", "run", "backtrace", "continue")
    words = [word for step in steps for word in ("-ex", step)]
    text = output("gdb", "-nx", "-batch", *words, "--args", *command)
    assert text.count("shared layout not applied") == text.count(TRACED) == 1
    assert "inner (number=14, what=" in text and "exited normally" in text


@pytest.fixture
def relative_cores() -> Iterator[None]:
    """Let the kernel write core files to the folder of the program, named `core`."""
    before = CORE_PATTERN.read_text()
    try:
        if before.strip() != "core":
            CORE_PATTERN.write_text("core")
        yield
    finally:
        if CORE_PATTERN.read_text() != before:
            CORE_PATTERN.write_text(before)


@pytest.mark.usefixtures("relative_cores")
@pytest.mark.parametrize("linked", [(), ("-no-pie",)], ids=["pie", "no_pie"])
def test_core_file(
    launch: list[str], build: Build, tmp_path: Path, linked: tuple[str, ...]
) -> None:
    program = build("frames", *linked)
    command = ["prlimit", "--core=unlimited", *launch, program, "crash", "7"]
    done = subprocess.run(command, cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGSEGV
    (core,) = tmp_path.glob("core*")
    inspect = (*INSPECT, "info proc", "print $_siginfo._sifields._sigfault.si_addr")
    text = gdb(program, str(core), commands=inspect)
    check_frames(text, "crash")
    assert f"exe = '{program} crash 7'" in text and "(void *) 0x8" in text
    # The core contains what the process told of its vector, from which gdb found the base.
    assert re.search(rf'AT_EXECFN .*"{program}"', text)


PERF = ["perf", "record", "--quiet", "--event=cpu-clock", "--freq=2000"]
PERF += ["--output=perf.data"]
REPORT = ["perf", "report", "--stdio", "--input=perf.data"]


@pytest.mark.parametrize("linked", [(), ("-static-pie",)], ids=["pie", "static_pie"])
def test_perf_symbolises(
    launch: list[str], build: Build, tmp_path: Path, linked: tuple[str, ...]
) -> None:
    """perf saw the program start: it had no maps to read, only what the kernel reports."""
    program = build("frames", *linked)
    output(*PERF, *launch, program, "spin", "100", cwd=tmp_path)
    text = output(*REPORT, f"--comm={Path(program).name[:15]}", cwd=tmp_path)
    rows = re.findall(r"^ +[\d.]+% +(\S+) +\[\.\] (\S+)", text, re.MULTILINE)
    name = Path(program).name
    assert (name, "spin_in_program") in rows
    assert any(place == "[vdso]" and "clock_gettime" in symbol for place, symbol in rows)
    libc = name if linked else "libc.so.6"
    assert any(place == libc and "memset" in symbol for place, symbol in rows)
    assert not any(place == "[unknown]" for place, _ in rows)


def test_perf_attaches(launch: list[str], build: Build, tmp_path: Path) -> None:
    program = build("frames")
    process = subprocess.Popen([*launch, program, "spin", "1000000"])
    try:
        output(*PERF, "--pid", str(process.pid), "sleep", "0.3", cwd=tmp_path)
    finally:
        process.kill()
        process.wait()
    text = output(*REPORT, cwd=tmp_path)
    assert "spin_in_program" in text and "clock_gettime" in text and "memset" in text


def test_a_launch_under_a_tracer(launch: list[str], build: Build) -> None:
    """One line, and the program as without; or not at all."""
    command = ["strace", "-f", "-o", "/dev/null", *launch, build("where")]
    strict = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (strict.returncode, strict.stdout) == (125, "")
    assert TRACED in strict.stderr and len(strict.stderr.splitlines()) == 1
    command.remove("--require")
    assert where(*command).rest == where(build("where")).rest
    command.remove("--quiet")
    loud = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(loud.stderr.splitlines()) == 1 and TRACED in loud.stderr


@pytest.mark.parametrize("options", [(), ("--trace-children=yes",)])
def test_a_launch_under_valgrind(launch: list[str], build: Build, options: tuple[str, ...]) -> None:
    """valgrind only pretends to set the stack limit, so the program is moved by reservation.

    If valgrind also runs the program, it is valgrind that is moved.
    """
    # valgrind 3.19 prints which system calls it does not know (pidfd_open).
    silent = ["sh", "-c", 'exec "$@" 2>/dev/null', "sh"]
    command = [*silent, "valgrind", "-q", *options, *launch, build("where")]
    assert where(*command).rest == where(build("where")).rest


@pytest.mark.parametrize("tracer", [("strace", "-f", "-o", "/dev/null"), ("valgrind", "-q")])
def test_a_tracer_started_moved(launch: list[str], build: Build, tracer: tuple[str, ...]) -> None:
    """It runs its own program, with a layout of its own."""
    assert where(*launch, *tracer, build("where")).rest == where(build("where")).rest
