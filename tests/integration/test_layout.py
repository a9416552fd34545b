"""The shared layout: equal addresses within a group, other ones outside, and normal programs."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Programs, start_equal_programs, stop, value, wait_until
from .test_transparency import comparable

PARTS = ("program", "local", "mmap", "brk", "vdso")
KINDS = {
    "where": ["gcc"],
    "where_no_pie": ["gcc", "-no-pie"],
    "where_static": ["gcc", "-static"],
    "where_static_pie": ["gcc", "-static-pie"],
    "where_musl": ["musl-gcc"],
    "where_musl_static": ["musl-gcc", "-static"],
    "where_aligned": ["gcc", "-Wl,-z,max-page-size=0x200000"],
    "where_bss": ["gcc", "-DBSS"],
}


@pytest.fixture(scope="session")
def kinds(programs: Programs) -> Programs:
    """The program in every way that it can be linked."""
    for name, compiler in KINDS.items():
        source = programs.folder.parent / "where.c"
        text = (Path(__file__).parent / "programs/where.c").read_text()
        source.write_text(f"#ifdef BSS\nchar huge[3l << 30];\n#endif\n{text}")
        model = "-mcmodel=large" if "bss" in name else "-O1"
        target = programs.folder / name
        subprocess.run([*compiler, model, source, "-o", target], check=True)
    return programs


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "keys"
    monkeypatch.setenv("KSMRUN_LAYOUT_DIR", str(folder))
    return folder


@pytest.fixture
def shared(ksmrun: str) -> tuple[str, ...]:
    return (ksmrun, "run", "--quiet", "--layout=shared", "--require", "--")


def where(*command: str | Path, **options: Any) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert (done.returncode, done.stderr) == (0, ""), command
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def parts(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(found[part] for part in PARTS)


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
    # What the kernel decides for each process on its own stays so.
    assert first["random"] != second["random"]


@pytest.mark.parametrize("kind", KINDS)
def test_all_else_is_as_without(shared: tuple[str, ...], kinds: Programs, kind: str) -> None:
    program = getattr(kinds, kind)
    direct, wrapped = where(program, "a"), where(*shared, program, "a")
    for key in set(direct) - {*PARTS, "random"}:
        assert direct[key] == wrapped[key], key
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
    # The auxiliary vector holds addresses, and the helper's parent was waited for.
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


def test_keys(
    ksmrun: str, launcher: str, shared: tuple[str, ...], kinds: Programs, keys: Path
) -> None:
    # Without the shim, which the launcher is not told of below: libraries lie one after another.
    first = parts(where(*shared[:-1], "--layout-group=g", "--seeds=own", "--", kinds.where))
    assert (keys / "master.key").stat().st_mode & 0o7777 == 0o600
    file = keys / "g.key"
    subprocess.run([ksmrun, "layout", "key", "g", "--output", file], check=True)
    assert (file.stat().st_mode & 0o7777, file.stat().st_size) == (0o400, 32)
    # The group's own key, handed over as a file: Python and C derive the same.
    handed = [launcher, "--quiet", "--layout=shared", f"--layout-key={file}", "--", kinds.where]
    assert parts(where(*handed)) == first
    subprocess.run([ksmrun, "layout", "rotate", "g"], check=True)
    rotated = parts(where(*shared[:-1], "--layout-group=g", "--", kinds.where))
    assert all(a != b for a, b in zip(first, rotated, strict=True) if a > 1 << 32)
    default = parts(where(*shared, kinds.where))
    subprocess.run([ksmrun, "layout", "rotate"], check=True)
    assert parts(where(*shared, kinds.where)) != default


def refused(*command: str | Path, **options: Any) -> str:
    """What is said where it cannot be had: the program runs, and with --require does not."""
    launch, program = list(command[:-1]), command[-1]
    done = subprocess.run(
        [*launch, "--", program], capture_output=True, text=True, check=False, **options
    )
    lines = [line for line in done.stderr.splitlines() if "KSM is off" not in line]
    assert done.returncode == 0 and len(lines) == 1, done
    strict = subprocess.run(
        [*launch, "--require", "--", program],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    assert (strict.returncode, strict.stdout) == (125, "")
    assert "the program starts all the same; to do: " in lines[0]
    line: str = lines[0]
    return line


@pytest.fixture
def key(tmp_path: Path) -> str:
    file = tmp_path / "key"
    file.write_bytes(random.Random(1).randbytes(32))
    file.chmod(0o400)
    return str(file)


def test_keys_that_others_may_know(launcher: str, tmp_path: Path, key: str) -> None:
    run = [launcher, "--layout=shared"]
    assert "No such file" in refused(*run, "--layout-key=/nothing", "true")
    Path(key).chmod(0o440)
    assert "can be read by others" in refused(*run, f"--layout-key={key}", "true")
    short = tmp_path / "short"
    short.write_bytes(b"x" * 31)
    short.chmod(0o400)
    assert "32 bytes" in refused(*run, f"--layout-key={short}", "true")


def test_programs_that_are_not_moved(
    launcher: str, key: str, programs: Programs, kinds: Programs, tmp_path: Path
) -> None:
    run = [launcher, "--layout=shared", f"--layout-key={key}"]
    assert "32-bit" in refused(*run, programs.flag_32)
    setuid = tmp_path / "setuid"
    shutil.copy(kinds.where, setuid)
    setuid.chmod(0o4755)
    assert "changes user, group or capabilities" in refused(*run, setuid)
    capable = tmp_path / "capable"
    shutil.copy(kinds.where, capable)
    subprocess.run(["setcap", "cap_net_bind_service+ep", capable], check=True)
    assert "changes user, group or capabilities" in refused(*run, capable)
    script = tmp_path / "script"
    script.write_text(f"#!{setuid}\n")
    script.chmod(0o755)
    assert "changes user, group or capabilities" in refused(*run, script)
    # The exec passes over a file that cannot be run, to the next of its name in PATH.
    for folder, target in (("first", "#!/nothing\n"), ("second", None)):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "program"
        if target is None:
            shutil.copy(kinds.where, file)
            file.chmod(0o4755)
        else:
            file.write_text(target)
            file.chmod(0o755)
    path = {**os.environ, "PATH": f"{tmp_path}/first:{tmp_path}/second"}
    assert "changes user, group or capabilities" in refused(*run, "program", env=path)


def test_where_it_cannot_be_done(launcher: str, key: str, programs: Programs) -> None:
    run = [launcher, "--layout=shared", f"--layout-key={key}"]
    assert "may not be traced" in refused("strace", "-o", "/dev/null", *run, "true")
    ptrace, personality, set_mm = "1:101", "1:135", "1:157:35"
    assert "may not be traced" in refused(programs.deny, ptrace, *run, "true")
    assert "seccomp filter denies" in refused(programs.deny, personality, *run, "true")
    assert "PR_SET_MM_MAP" in refused(programs.deny, set_mm, *run, "true")
    # mremap fails, and personality ends its caller.
    for filter_ in ("1:25", "kill:135"):
        assert "seccomp filter denies" in refused(programs.deny, filter_, *run, "true")
    assert "legacy address layout" in refused("setarch", "-L", *run, "true")
    assert "/proc is not mounted" in refused("unshare", "--pid", "--fork", *run, "true")
    limited = ["bash", "-c", 'ulimit -Hs 100000; exec "$@"', "bash", *run]
    assert "the hard stack limit is 100000 KiB" in refused(*limited, "true")


AS_PID_1 = ("unshare", "--fork", "--pid", "--mount-proc", "--kill-child")
SUBREAPER = "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); "
SUBREAPER += "os.execv(sys.argv[1], sys.argv[1:])"


def test_as_pid_1(launch: list[str], kinds: Programs) -> None:
    """The helper is the program's child then, and waited for before its first instruction."""
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
    missing = subprocess.run([*AS_PID_1, *launch, "/nothing"], capture_output=True, timeout=10)
    assert missing.returncode == 127


BLOCKING = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD]); "
BLOCKING += "os.execvp(sys.argv[1], sys.argv[1:])"


def test_nothing_stays(shared: tuple[str, ...]) -> None:
    """No child, no zombie, no tracer, and none of the helper's descriptors."""
    code = (
        "import os\n"
        "try: os.wait(); print('a child')\n"
        "except ChildProcessError: print('none')\n"
        "print(open('/proc/self/status').read().split('TracerPid:')[1].split()[0])\n"
    )
    done = subprocess.run([*shared, sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["none", "0"]


def tracer_of(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        text = Path(f"/proc/{pid}/status").read_text()
        return int(text.split("TracerPid:")[1].split()[0])
    return 0


@pytest.fixture
def launch(launcher: str, key: str) -> list[str]:
    return [launcher, "--quiet", "--layout=shared", f"--layout-key={key}", "--"]


def test_a_killed_helper(launch: list[str], kinds: Programs) -> None:
    """At any moment: the program runs moved, or not at all."""
    expected = parts(where(*launch, kinds.where))
    ends = {"ran": 0, "killed": 0}
    for _ in range(150):
        process = subprocess.Popen(
            [*launch, kinds.where], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        deadline = time.monotonic() + 1
        while (tracer := tracer_of(process.pid)) == 0 and time.monotonic() < deadline:
            if process.poll() is not None:
                break
        if tracer:
            until = time.perf_counter() + random.random() * 0.0015
            while time.perf_counter() < until:
                pass
            with contextlib.suppress(ProcessLookupError):
                os.kill(tracer, signal.SIGKILL)
        output, _ = process.communicate(timeout=10)
        if process.returncode == 0:
            assert parts(json.loads(output)) == expected
            ends["ran"] += 1
        else:
            assert (process.returncode, output) == (-signal.SIGKILL, "")
            ends["killed"] += 1
    assert ends["killed"] > 5, ends


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGTSTP, signal.SIGUSR1, signal.SIGINT])
def test_signals_during_the_launch(
    launch: list[str], kinds: Programs, number: signal.Signals
) -> None:
    """Whenever they come they do what they do without a helper."""
    expected = parts(where(*launch, kinds.where))
    for _ in range(40):
        process = subprocess.Popen([*launch, kinds.where], stdout=subprocess.PIPE, text=True)
        time.sleep(random.random() * 0.004)
        process.send_signal(number)
        time.sleep(0.001)
        process.send_signal(signal.SIGCONT)
        output, _ = process.communicate(timeout=10)
        if process.returncode == 0:
            assert parts(json.loads(output)) == expected
        else:
            assert number in (signal.SIGUSR1, signal.SIGINT)
            assert process.returncode == -number


def test_many_launches(launch: list[str], kinds: Programs) -> None:
    expected = parts(where(*launch, kinds.where))
    for _ in range(5):
        processes = [
            subprocess.Popen([*launch, kinds.where], stdout=subprocess.PIPE, text=True)
            for _ in range(100)
        ]
        for process in processes:
            output, _ = process.communicate(timeout=60)
            assert parts(json.loads(output)) == expected


def test_gdb(launch: list[str]) -> None:
    """It finds symbols and frames, so what the kernel tells of the program is right."""
    sleep = subprocess.Popen([*launch, "sleep", "60"])
    wait_until(lambda: Path(f"/proc/{sleep.pid}/comm").read_text().strip() == "sleep")
    time.sleep(0.2)
    commands = ["-ex", "backtrace", "-ex", "info auxv", "-ex", "info proc mappings"]
    done = subprocess.run(
        ["gdb", "-nx", "-batch", "-p", str(sleep.pid), *commands],
        capture_output=True,
        text=True,
        check=True,
    )
    sleep.kill()
    sleep.wait()
    assert "nanosleep" in done.stdout
    assert "__libc_start_main" in done.stdout
    assert "[stack]" in done.stdout and "AT_SYSINFO_EHDR" in done.stdout
    assert "Couldn't" not in done.stdout + done.stderr


TABLES = """
import sys
held = [{"number": n, "text": str(n) * 3} for n in range(40000)]
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.usefixtures("ksm_on")
def test_pages_with_pointers_merge(ksmrun: str) -> None:
    """Four copies: three quarters can go. Without one layout hardly a tenth does."""
    saved = []
    for options in ((), ("--layout=shared",)):
        before = int(value("pages_sharing"))
        command = (ksmrun, "run", "--quiet", *options, "--")
        programs = start_equal_programs(ksmrun, 4, command=command, code=TABLES)
        resident = 0
        for program in programs:
            rollup = Path(f"/proc/{program.pid}/smaps_rollup").read_text()
            resident += int(rollup.split("Anonymous:")[1].split()[0]) // 4

        def share(before: int = before, resident: int = resident) -> float:
            return (int(value("pages_sharing")) - before) / resident

        if options:
            wait_until(lambda share=share: share() > 0.65)  # type: ignore[misc]
        else:
            time.sleep(3)
        saved.append(share())
        stop(programs)
    assert saved[0] < 0.3
