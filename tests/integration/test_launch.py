"""Exit codes, deaths, and commands that cannot be run: compared with env(1) where it applies."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from waiting import LAST_RESORT_SECONDS

Way = tuple[str, ...]


def run(command: Sequence[str | bytes], **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command, capture_output=True, timeout=LAST_RESORT_SECONDS, check=False, **options
    )


def one_line(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the only line about the failure; KSM being off is reported as well."""
    lines = [line for line in done.stderr.decode().splitlines() if "KSM is off" not in line]
    assert len(lines) == 1, lines
    assert "Traceback" not in lines[0]
    assert "; " in lines[0], "what happened; what to do"
    return lines[0]


@pytest.mark.parametrize("code", [0, 1, 2, 125, 126, 127, 255])
def test_exit_code(way: Way, code: int) -> None:
    assert run([*way, "--", "sh", "-c", f"exit {code}"]).returncode == code


STOPPING = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}


@pytest.mark.parametrize("number", sorted(set(signal.Signals) - STOPPING))
def test_death_by_signal(way: Way, number: int) -> None:
    command = ["sh", "-c", f"kill -{int(number)} $$; exit 7"]
    no_core = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0))}
    assert run([*way, "--", *command], **no_core).returncode == run(command, **no_core).returncode


def test_stdin_goes_through(way: Way) -> None:
    data = os.urandom(1 << 20)
    assert run([*way, "--", "cat"], input=data).stdout == data


def test_options_end_at_the_command(way: Way) -> None:
    done = run([*way, "ls", "--help"])
    assert done.stdout.startswith(b"Usage: ls")
    done = run([*way, "echo", "--require", "--", "-x"])
    assert done.stdout == b"--require -- -x\n"


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"echo $0 $1\nexit 3\n", 3), (b"", 0), (b"# comment only", 0), (b"\n\nexit 4", 4)],
)
def test_script_without_interpreter_line(
    way: Way, tmp_path: Path, content: bytes, code: int
) -> None:
    script = tmp_path / "script"
    script.write_bytes(content)
    script.chmod(0o755)
    for name, extra in ((str(script), {}), ("script", {"PATH": f"/nonexistent:{tmp_path}:/bin"})):
        environment = {**os.environ, **extra}
        done = run([*way, "--", name, "one"], env=environment)
        compare = run(["env", name, "one"], env=environment)
        assert (done.returncode, done.stdout) == (compare.returncode, compare.stdout)
        assert done.returncode == code


def test_path_search_is_that_of_env(way: Way, tmp_path: Path) -> None:
    """Empty folders of PATH mean the current one, and a denied file does not end the search."""
    for folder, mode, text in (("a", 0o644, "a"), ("b", 0o755, "b"), ("c", 0o755, "c")):
        file = tmp_path / folder / "tool"
        file.parent.mkdir()
        file.write_text(f"#!/bin/sh\necho {text}\n")
        file.chmod(mode)
    (tmp_path / "file").write_text("")
    # ksmrun itself is called by its path; the shebang of `.ksmrun-py` names python by its path too.
    for path in ("a:b", ":b", "b:", "a", "file", "file:b", "a:file", "c:b", "", "/nonexistent"):
        search = ":".join(str(tmp_path / part) if part else "" for part in path.split(":"))
        for cwd in (tmp_path, tmp_path / "c"):
            options = {"env": {"PATH": search}, "cwd": cwd}
            done = run([*way, "--", "tool"], **options)
            compare = run(["/usr/bin/env", "tool"], **options)
            assert (done.returncode, done.stdout) == (compare.returncode, compare.stdout), path


def test_unset_path(way: Way) -> None:
    assert run([*way, "--", "true"], env={}).returncode == 0


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("no-such-command", 127, "no such command in PATH"),
        ("/nonexistent/x", 127, "no such file"),
        ("", 127, "no such command"),
        ("/etc", 126, "directory"),
        ("/etc/passwd", 126, "chmod +x"),
        ("/etc/passwd/x", 126, "Not a directory"),
        ("x" * 5000, 126, "too long"),
        ("bad-interpreter", 127, "interpreter '/no/such' does not exist"),
        ("from-windows", 127, "carriage return"),
        ("from-windows-with-option", 127, "interpreter '/no/such' does not exist"),
        ("bad-loader", 127, "loader"),
        ("foreign", 126, "aarch64"),
        ("garbage", 126, "format"),
    ],
)
def test_what_cannot_be_run(
    way: Way, programs: Any, tmp_path: Path, name: str, code: int, words: str
) -> None:
    files = {
        "bad-interpreter": b"#!/no/such\n",
        "from-windows": b"#!/bin/sh\r\necho hi\r\n",
        "from-windows-with-option": b"#!/no/such -e\r\necho hi\r\n",
        "foreign": _foreign_elf(),
        "garbage": b"\x00\x01\x02\x03",
        "bad-loader": Path(programs.flag).read_bytes().replace(b"/ld-linux", b"/no-linux"),
    }
    if name in files:
        (tmp_path / name).write_bytes(files[name])
        (tmp_path / name).chmod(0o755)
        name = str(tmp_path / name)
    done = run([*way, "--", name])
    assert done.returncode == code
    assert words in one_line(done)
    # execvp(3) passes foreign binaries to the shell; everything else is as in env.
    if words not in ("aarch64", "format"):
        assert run(["env", name]).returncode == code


def _foreign_elf() -> bytes:
    """Return as much of an aarch64 program as the kernel reads before it refuses."""
    head = bytearray(64)
    head[:7] = b"\x7fELF\x02\x01\x01"
    head[16], head[18] = 2, 0xB7
    return bytes(head)


def test_noexec_mount(way: Way, programs: Any, tmp_path: Path) -> None:
    inside = f"mount -t tmpfs -o noexec none {tmp_path} && cp {programs.flag} {tmp_path}/flag && "
    command = shlex.join([*way, "--", f"{tmp_path}/flag"])
    done = run(["unshare", "-m", "sh", "-c", inside + f"exec {command}"])
    assert done.returncode == 126
    assert "noexec" in one_line(done)


def test_program_that_is_open_for_writing(way: Way, tmp_path: Path) -> None:
    """ETXTBSY gives 126 in env and here."""
    target = tmp_path / "busy"
    shutil.copy("/bin/true", target)
    with target.open("ab"):
        assert run([*way, "--", str(target)]).returncode == run(["env", str(target)]).returncode


def longest_argument_list(start: Callable[[list[str]], int]) -> int:
    """Return the most bytes of arguments, in words of 1,000, that can be started, to 1 KiB."""
    low, high = 0, 4 << 20
    while high - low > 1024:
        middle = (low + high) // 2
        code = start(["x" * 999] * (middle // 1000))
        low, high = (middle, high) if code == 0 else (low, middle)
    return low


def test_longest_argument_list(way: Way) -> None:
    def direct(words: list[str]) -> int:
        try:
            return subprocess.run(["/bin/true", *words], check=False).returncode
        except OSError:
            return -1

    limit = longest_argument_list(direct)
    assert limit > 1 << 20
    # 4 KiB for the launcher's own words, and rounding by a word.
    fitting = ["x" * 999] * ((limit - 4096 - 1000) // 1000)
    assert run([*way, "--", "/bin/true", *fitting]).returncode == 0


def test_too_long_argument_list(launcher: str) -> None:
    """The kernel counts the file's name too: what the launcher got can be too long to pass on."""
    folder = "/." * 1500
    command = [launcher, "--quiet", "--", f"{folder}/bin/true"]

    def code(words: list[str]) -> int:
        try:
            return run([*command, *words]).returncode
        except OSError:
            return -1

    low, high = 1 << 20, 3 << 20
    for _ in range(24):
        middle = (low + high) // 2
        filler = ["x" * 999] * (middle // 1000) + ["y" * (middle % 1000)]
        result = code(filler)
        if result == 126:
            done = run([*command, *filler])
            assert "longer than the kernel allows" in one_line(done)
            return
        low, high = (middle, high) if result == 0 else (low, middle)
    pytest.fail("no length found that the launcher accepts and the program does not")


@pytest.mark.parametrize(
    "arguments",
    [[], ["--bogus", "x"], ["--merge"], ["--merge=maybe", "x"], ["--thp=maybe", "x"]],
)
def test_usage_errors_are_125(way: Way, arguments: list[str]) -> None:
    done = run([*way, *arguments])
    assert done.returncode == 125
    assert b"Traceback" not in done.stderr


def test_preload_refusals(launcher: str, tmp_path: Path) -> None:
    done = run([launcher, "--preload=/a b.so", "--", "true"])
    assert done.returncode == 125
    assert "colon" in one_line(done)
    # A file that does not exist: ld.so would only print an error of its own.
    missing = f"--preload={tmp_path}/missing.so"
    assert run([launcher, missing, "--", "true"]).returncode == 0
    assert "cannot preload" in one_line(run([launcher, missing, "--", "true"]))
    assert run([launcher, "--require", missing, "--", "true"]).returncode == 125


def test_options_from_the_environment(ksmrun: str, programs: Any) -> None:
    command = [ksmrun, "run", "--", programs.flag]
    assert run(command).returncode == 0
    assert run(command, env={"KSMRUN_MERGE": "off"}).returncode == 1
    assert run(command, env={"KSMRUN_MERGE": "bogus"}).returncode == 125
    assert (
        run([*command[:2], "--merge=on", *command[2:]], env={"KSMRUN_MERGE": "off"}).returncode == 0
    )
    # The program sees the variable as it would without us.
    done = run([ksmrun, "run", "--", "/usr/bin/env"], env={"KSMRUN_QUIET": "1"})
    assert (done.stdout, done.stderr) == (b"KSMRUN_QUIET=1\n", b"")


def test_dry_run_line_does_the_same(ksmrun: str) -> None:
    words = [b"a b", b"'\"$HOME`", b"\xff\xfe", b"", b"new\nline", b"--x"]
    line = run([ksmrun, "run", "--thp=off", "--dry-run", "--", "see", *words]).stdout
    assert b"ksmrun-exec --merge=on --thp=off -- see " in line
    done = run([b"sh", b"-c", line.replace(b"-- see", b"-- printf '<%s>'")])
    assert done.stdout == b"".join(b"<" + word + b">" for word in words)


def test_ctrl_c_while_starting(ksmrun: str) -> None:
    """A SIGINT may arrive at any moment of Python's start: never a traceback."""
    for delay in (0.01, 0.03, 0.05, 0.08, 0.1, 0.13, 0.16):
        process = subprocess.Popen(
            [ksmrun, "run", "--", "sleep", "60"],
            stderr=subprocess.PIPE,
            start_new_session=True,
            # Background jobs of a script ignore it, and so would the program.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(delay)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=LAST_RESORT_SECONDS)
        assert process.returncode == -signal.SIGINT
        assert b"Traceback" not in errors


def test_output_into_a_closed_pipe(ksmrun: str) -> None:
    command = f"{shlex.quote(ksmrun)} host show; echo $? >&2"
    done = run(["bash", "-c", f"{{ {command}; }} | true"])
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("options", [(), ("--guard=warn",)])
def test_too_long_for_what_is_between(ksmrun: str, options: tuple[str, ...]) -> None:
    """What has room for the program starts it, if not by the launcher or Python."""

    def start(size: int, *more: str) -> subprocess.CompletedProcess[bytes] | None:
        words = ["x" * 999] * (size // 1000) + ["y" * (size % 1000)]
        try:
            return run([ksmrun, "run", *more, *options, "--", "/bin/true", *words])
        except OSError:
            return None

    low, high = 1 << 20, 4 << 20
    while high - low > 8:
        middle = (low + high) // 2
        low, high = (low, middle) if start(middle, "--quiet") is None else (middle, high)
    for shorter in range(0, 2500, 150):
        done = start(low - shorter, "--quiet")
        assert done is not None
        assert (done.returncode, done.stderr) == (0, b""), shorter
    done = start(low)
    assert done is not None and b"leave no room for those of ksmrun; " in done.stderr


def test_an_interpreter_that_is_mounted_noexec(launcher: str, tmp_path: Path) -> None:
    """It is named as the reason, not the script or its permissions."""
    script = tmp_path / "script"
    script.write_text(f"#!{tmp_path}/mounted/sh\n")
    script.chmod(0o755)
    (tmp_path / "mounted").mkdir()
    prepare = f"mount -t tmpfs -o noexec none {tmp_path}/mounted; cp /bin/sh {tmp_path}/mounted"
    command = ["unshare", "--mount", "sh", "-euc", f'{prepare}; exec "$@"', "sh"]
    done = run([*command, launcher, "--quiet", "--", str(script)])
    assert done.returncode == 126
    assert b"/mounted/sh' is on a file system that is mounted noexec" in done.stderr
