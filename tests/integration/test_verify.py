"""--verify: one true line, by an observer from outside that leaves no trace."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
from waiting import LAST_RESORT_SECONDS

from .conftest import reachable


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        errors="replace",
        timeout=LAST_RESORT_SECONDS,
        check=False,
        **options,
    )


def test_verify_confirms(launcher: str) -> None:
    done = run([launcher, "--verify", "--", "sleep", "1"])
    assert "has the merge flag after the exec" in done.stderr
    assert run([launcher, "--verify", "--quiet", "--", "sleep", "0.5"]).stderr == ""


def test_verify_holds_nothing_of_the_programs(launcher: str) -> None:
    """A pipe held by the observer would keep its reader waiting.

    strace delays the exec, so that there is time to see what the observer has open.
    """
    slow_exec = ["strace", "-f", "-o", "/dev/null", "-e", "inject=execve:delay_enter=3s:when=2"]
    extra = os.open("/etc/hostname", os.O_RDONLY)
    process = subprocess.Popen(
        [*slow_exec, launcher, "--verify", "--", "true"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=[extra],
        env=os.environ | {"OF_TEST": str(os.getpid())},
    )
    os.close(extra)
    observers: list[psutil.Process] = []
    while not observers:
        assert process.poll() is None, "the exec was not held back"
        time.sleep(0.05)
        # Leader of its own session, and not of another test.
        observers = [
            found
            for found in psutil.process_iter(["name", "environ"])
            if found.info["name"] == "ksmrun-exec"
            and (found.info["environ"] or {}).get("OF_TEST") == str(os.getpid())
            and os.getsid(found.pid) == found.pid
        ]
    (observer,) = observers
    folder = Path("/proc") / str(observer.pid) / "fd"
    wait_for = time.monotonic() + 2
    while len(list(folder.iterdir())) > 3 and time.monotonic() < wait_for:
        time.sleep(0.02)
    held = {int(file.name): str(file.readlink()) for file in folder.iterdir()}
    process.communicate()
    assert held.pop(2) == "/dev/null"
    assert len(held) == 2, held
    assert sorted(name.partition(":")[0] for name in held.values())[1] == "pipe"
    assert any(name.startswith("/proc/") for name in held.values())


def test_verify_of_what_cannot_start(launcher: str) -> None:
    done = run([launcher, "--verify", "--", "/nonexistent"])
    assert done.returncode == 127
    time.sleep(0.3)
    assert "verif" not in done.stderr


def test_verify_sees_a_lost_flag(launcher: str, tmp_path: Path) -> None:
    """A program that clears its flag stands for the kernels that lose it."""
    source = tmp_path / "clear.c"
    source.write_text(
        "#include <sys/prctl.h>\n#include <unistd.h>\n"
        "int main(void){prctl(67,0L,0L,0L,0L);sleep(1);return 0;}\n"
    )
    subprocess.run(["gcc", "-o", tmp_path / "clear", source], check=True)
    done = run([launcher, "--verify", "--", str(tmp_path / "clear")])
    assert "the merge flag was lost at exec" in done.stderr
    assert "6.4 to 6.6" in done.stderr


def test_verify_of_an_unreadable_program(
    launcher: str, nobody: tuple[str, ...], tmp_path: Path
) -> None:
    """Mode 711: its /proc files belong to root."""
    target = tmp_path / "sleep"
    shutil.copy("/bin/sleep", target)
    target.chmod(0o711)
    prefix = [*nobody[:4]]
    done = run([*prefix, reachable(launcher, tmp_path), "--verify", "--", str(target), "1"])
    assert "not readable by this user" in done.stderr


def test_as_pid_1(launcher: str, ksmrun: str) -> None:
    for way in ([launcher], [ksmrun, "run"]):
        inside = ["unshare", "-p", "-f", "--mount-proc", *way, "--verify", "--"]
        done = run([*inside, "sh", "-c", "echo $$ /proc/[0-9]*"])
        # The program is the only process: no observer.
        assert done.stdout == "1 /proc/1\n"
        assert "as PID 1" in done.stderr
        assert "host" in done.stderr


def test_under_a_subreaper(launcher: str, tmp_path: Path) -> None:
    source = tmp_path / "reaper.c"
    source.write_text(
        "#include <sys/prctl.h>\n#include <unistd.h>\n"
        "int main(int c,char**v){(void)c;prctl(36,1L,0L,0L,0L);execv(v[1],v+1);return 99;}\n"
    )
    subprocess.run(["gcc", "-o", tmp_path / "reaper", source], check=True)
    done = run([str(tmp_path / "reaper"), launcher, "--verify", "--", "sleep", "0.3"])
    assert "cannot verify: as PID 1" in done.stderr


def test_verify_of_a_program_that_nobody_reaps(launcher: str) -> None:
    """A zombie has no memory to read: that is no lost flag."""
    process = subprocess.Popen(
        [launcher, "--verify", "--", "true"], stderr=subprocess.PIPE, text=True
    )
    # Not reaped: it stays a zombie while the observer looks.
    assert process.stderr is not None
    text = process.stderr.read()
    process.wait()
    assert "lost" not in text
    assert "it ended before" in text or "has the merge flag" in text


def test_verify_says_when_there_is_nothing_to_verify(launcher: str) -> None:
    assert "nothing to verify" in run([launcher, "--merge=off", "--verify", "true"]).stderr
    nested = [launcher, "--quiet", launcher, "--merge=keep", "--verify", "sleep", "0.5"]
    assert "has the merge flag" in run(nested).stderr


def test_in_a_pid_namespace_without_init(launcher: str, ksmrun: str) -> None:
    """After `unshare --pid` our first child would be PID 1, and its end would end all forking."""
    # Root's cached probe is hidden: an empty /run in a mount namespace.
    prefix = "mount -t tmpfs none /run; exec unshare --pid"
    for way in ([launcher, "--verify"], [ksmrun, "run", "--verify"]):
        line = shlex.join([*way, "--", "sh", "-c", "/bin/true; /bin/true; echo two"])
        done = run(["unshare", "-m", "sh", "-c", f"{prefix} {line}"])
        # The shell's own first child is PID 1 then: only that one can be forked, as without us.
        direct = run(["unshare", "--pid", "sh", "-c", "/bin/true; /bin/true; echo two"])
        assert (done.returncode, done.stdout) == (direct.returncode, direct.stdout)
        assert "--fork" in done.stderr
