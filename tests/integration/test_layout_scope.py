"""From a start script to the program: the layout reaches it, and the script notices nothing."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from compiled import compile_to
from waiting import LAST_RESORT_SECONDS, wait_until

from .conftest import SOURCES, Programs
from .support.layouts import (
    AS_PID_1,
    folder,
    key,
    kinds,
    launch,
    parts,
    tracer_of,
    user,
    where,
    write,
)

__all__ = ["folder", "key", "kinds", "launch"]

SCRIPTS = {
    "exec": '#!/bin/sh\ncd /\nexec {where} "$@"',
    "child": '#!/bin/sh\n{where} "$@"\nexit $?',
    "background": '#!/bin/bash\n{where} "$@" &\nwait $!',
    "pipeline": '#!/bin/sh\n: | {where} "$@" | cat',
    "subshell": '#!/bin/bash\n(cd /; {where} "$@"; exit 0)',
    "substitution": '#!/bin/sh\nfound=$({where} "$@")\necho "$found"',
    "env": '#!/usr/bin/env bash\nA=1 exec {where} "$@"',
    "nested": "#!/bin/sh\nexec bash -c 'sh -c \"exec {where}\"'",
    "wrappers": "#!/bin/sh\nexec env A=1 nice -n 1 nohup setsid -w timeout 60 {where}",
    "busybox": '#!/bin/busybox sh\n{where} "$@"\nexit $?',
}


@pytest.mark.parametrize("way", SCRIPTS)
def test_the_layout_reaches_the_program(
    launch: list[str], kinds: Programs, folder: Path, way: str
) -> None:
    script = write(folder / "script", SCRIPTS[way].format(where=kinds.where))
    first, second = where(*launch, script), where(*launch, script, "a", "b")
    assert parts(first) == parts(second)
    assert first["personality"] == 0 and first["stack_limit"] == second["stack_limit"]
    direct = where(kinds.where)
    assert first["stack_limit"] == direct["stack_limit"]
    assert all(a != b for a, b in zip(parts(first), parts(direct), strict=True))


def test_scripts_of_one_program_share_it(launch: list[str], kinds: Programs, folder: Path) -> None:
    found = set()
    for way, text in SCRIPTS.items():
        script = write(folder / way, text.format(where=kinds.where))
        found.add(parts(where(*launch, script)))
    assert len(found) == 1


# What a shell script can notice of a tracer, or of a process in between.
NOTICING = r"""#!/bin/bash
trap 'echo child ended' CHLD
trap 'echo got usr1' USR1
(exit 3); echo subshell $?
false | true; echo pipe ${PIPESTATUS[*]}
sh -c 'kill -TERM $$'; echo signal $?
sleep 0.05 & wait $!; echo background $?
sleep 0.05 & sleep 0.1 & wait -n; echo next $?; wait
kill -USR1 $$; sleep 0.05
coproc cat; echo through >&${COPROC[1]}; read -r line <&${COPROC[0]}; echo $line
eval "exec ${COPROC[1]}>&-"; wait
sh -c 'trap "" INT; kill -INT $$; echo ignored'
sleep 30 & sleep 0.2; kill -STOP $!; kill -CONT $!; kill $!; wait $! 2>/dev/null; echo killed $?
trap - CHLD
set -m; sleep 30 & sleep 0.2; kill %%; wait $! 2>/dev/null; echo job $?; set +m
ulimit -s; grep -c ^TracerPid /proc/self/status
perl -e 'print "wait ", wait(), "\n"'
python3 - <<'END'
import os, subprocess
print(subprocess.run(["sh", "-c", "exit 7"]).returncode, os.system("exit 4"))
END
nohup true </dev/null >/dev/null 2>&1; echo $?
/nothing 2>/dev/null; echo missing $?
exec sh -c 'echo last $#; exit 5' x y z
"""


@pytest.mark.parametrize("scope", ["program", "tree"])
def test_a_script_notices_nothing(launch: list[str], folder: Path, scope: str) -> None:
    script = write(folder / "script", NOTICING)

    def run(*prefix: str) -> tuple[int, list[str], str]:
        done = subprocess.run(
            [*prefix, script],
            capture_output=True,
            text=True,
            check=False,
            timeout=LAST_RESORT_SECONDS,
        )
        # When that happens, and for how many at once, is random.
        lines = [line for line in done.stdout.splitlines() if line != "child ended"]
        assert "child ended" in done.stdout
        return done.returncode, lines, done.stderr

    direct = run()
    assert direct[0] == 5
    assert run(*launch[:-1], f"--layout-scope={scope}", "--") == direct


def test_another_user(launch: list[str], kinds: Programs, folder: Path) -> None:
    """A script of root's may become another user without a privileged exec."""
    as_nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups"
    script = write(folder / "script", f"#!/bin/sh\n{as_nobody} sh -c {kinds.where}")
    alone = write(folder / "alone", f"#!/bin/sh\nexec {kinds.where}")
    assert parts(where(*launch, script)) == parts(where(*launch, alone))


def test_the_tree(launcher: str, launch: list[str], kinds: Programs, folder: Path) -> None:
    """Only with it is a program followed that is started beside another one that lives."""
    code = (
        "import subprocess; first = subprocess.Popen(['sleep', '99']); "
        f"subprocess.run(['{kinds.where}'], check=True); first.kill(); first.wait()"
    )
    command = (sys.executable, "-c", code)
    tree = [*launch[:-1], "--layout-scope=tree", "--"]
    assert parts(where(*tree, *command)) == parts(where(*tree, *command, "x"))
    first, second = where(*launch, *command), where(*launch, *command)
    assert all(a != b for a, b in zip(parts(first), parts(second), strict=True))
    # A user's programs could lose a privilege, unless none can be gained.
    _, wrapped = user(launcher, folder, "--merge=keep", "--layout-scope=tree")
    perl = ("perl", "-e", f"system('{kinds.where}')")
    done = subprocess.run([*wrapped, *perl], capture_output=True, text=True, check=True)
    assert "use --layout-scope=program" in done.stderr
    strict = subprocess.run([*wrapped, "--require", *perl], capture_output=True, check=False)
    assert strict.returncode == 125
    unprivileged = ("setpriv", "--no-new-privs")
    first, second = (where(*unprivileged, *wrapped, *perl) for _ in range(2))
    assert parts(first) == parts(second)


def test_programs_started_by_threads(launch: list[str], kinds: Programs) -> None:
    code = (
        "import os, subprocess, sys, threading\n"
        "found = []\n"
        f"run = lambda: found.append(subprocess.check_output(['{kinds.where}']))\n"
        "threads = [threading.Thread(target=run) for _ in range(20)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "import json; print(len({json.loads(f)['mmap'] for f in found}))\n"
        f"t = threading.Thread(target=os.execv, args=('{kinds.where}', ['w']))\n"
        "sys.stdout.flush(); t.start(); t.join()\n"
    )
    tree = [*launch[:-1], "--layout-scope=tree", "--"]
    done = subprocess.run(
        [*tree, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=LAST_RESORT_SECONDS,
    )
    count, _, rest = done.stdout.partition("\n")
    assert count == "1"
    assert parts(json.loads(rest)) == parts(where(*tree, "perl", "-e", f"exec '{kinds.where}'"))


def test_the_program_can_be_debugged(launch: list[str], folder: Path) -> None:
    """From outside as soon as it runs, and by a debugger that the script starts."""
    script = write(folder / "script", "#!/bin/sh\nsleep 60 & echo $!\nwait")
    process = subprocess.Popen([*launch, script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    sleep = int(process.stdout.readline())
    wait_until(lambda: Path(f"/proc/{sleep}/comm").read_text() == "sleep\n")
    wait_until(lambda: tracer_of(sleep) == 0)
    gdb = ["gdb", "-nx", "-batch"]
    done = subprocess.run(
        [*gdb, "-p", str(sleep), "-ex", "backtrace"], capture_output=True, text=True, check=True
    )
    assert "nanosleep" in done.stdout
    os.kill(sleep, signal.SIGKILL)
    process.communicate()
    for tool in ("gdb -nx -batch -ex run --args /bin/true", "strace -f -o /dev/null true"):
        script = write(folder / "script", f"#!/bin/sh\n{tool}\necho end $?")
        done = subprocess.run([*launch, script], capture_output=True, text=True, check=True)
        assert "end 0" in done.stdout, done
        assert "Operation not permitted" not in done.stdout + done.stderr


def helper_of(pid: int) -> int:
    wait_until(lambda: tracer_of(pid) != 0)
    return tracer_of(pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_script_outlives_its_helper(
    launch: list[str], kinds: Programs, folder: Path, number: int
) -> None:
    text = f"#!/bin/bash\necho ready; read -r; {kinds.where}; echo end"
    script = write(folder / "script", text)
    process = subprocess.Popen(
        [*launch, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.kill(helper_of(process.pid), number)
    wait_until(lambda: tracer_of(process.pid) == 0)
    output, _ = process.communicate("\n", timeout=LAST_RESORT_SECONDS)
    assert process.returncode == 0 and output.endswith("end\n")


def test_no_signal_is_lost_with_the_helper(launch: list[str], folder: Path) -> None:
    """It is told to release them while it passes signals on."""
    script = write(folder / "script", "#!/bin/bash\ntrap 'exit 3' USR1\nwhile :; do :; done")
    for _ in range(30):
        process = subprocess.Popen([*launch, script])
        helper = helper_of(process.pid)
        wait_until(lambda pid=process.pid: catches(pid, signal.SIGUSR1))  # type: ignore[misc]
        process.send_signal(signal.SIGUSR1)
        os.kill(helper, signal.SIGTERM)
        assert process.wait(timeout=LAST_RESORT_SECONDS) == 3


def catches(pid: int, number: int) -> bool:
    caught = Path(f"/proc/{pid}/status").read_text().partition("SigCgt:\t")[2].split()[0]
    return int(caught, 16) >> (number - 1) & 1 == 1


def test_a_helper_killed_at_any_moment(launch: list[str], kinds: Programs, folder: Path) -> None:
    """Each program of the script is moved, has the kernel's layout, or is killed."""
    count = 30
    text = f"#!/bin/bash\necho ready\nread -r\nfor i in {{1..{count}}}; do {kinds.where}; done"
    script = write(folder / "script", text)
    alone = write(folder / "alone", f"#!/bin/sh\nexec {kinds.where}\n")
    expected = parts(where(*launch, alone))
    ends = {"moved": 0, "kernel's": 0, "killed": 0}
    for _ in range(10):
        process = subprocess.Popen(
            [*launch, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        helper = helper_of(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(random.random() * 0.05)
        with contextlib.suppress(ProcessLookupError):
            os.kill(helper, signal.SIGKILL)
        output, _ = process.communicate(timeout=LAST_RESORT_SECONDS)
        assert process.returncode in (0, 128 + signal.SIGKILL)
        decoder, seen = json.JSONDecoder(), 0
        while output.strip():
            value, end = decoder.raw_decode(output.lstrip())
            output = output.lstrip()[end:]
            seen += 1
            equal = [a == b for a, b in zip(parts(value), expected, strict=True)]
            assert len(set(equal)) == 1, "half moved"
            ends["moved" if equal[0] else "kernel's"] += 1
        ends["killed"] += count - seen
    assert ends["moved"] > 0 and ends["kernel's"] > 0, ends


def test_nothing_is_held(launch: list[str], folder: Path) -> None:
    """A shell that stays, with its own output, keeps no pipe or folder of the caller's open."""
    (folder / "place").mkdir()
    stays = "(while :; do sleep 0.2; done) </dev/null >/dev/null 2>&1 &"
    script = write(folder / "script", f"#!/bin/bash\n{stays}\necho $!\ncd {folder}/place")
    done = subprocess.run(
        [*launch, script],
        capture_output=True,
        text=True,
        check=True,
        timeout=LAST_RESORT_SECONDS,
        cwd=folder / "place",
    )
    pid = int(done.stdout)
    helper = helper_of(pid)
    assert Path(f"/proc/{helper}/cwd").readlink() == Path("/")
    for file in Path(f"/proc/{helper}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            assert not str(file.readlink()).startswith("pipe:")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{helper}").exists())


def test_a_full_pipe_stops_nothing(launcher: str, key: str, kinds: Programs, folder: Path) -> None:
    """Messages that would block are dropped."""
    limited = f"(ulimit -v 9000000; {kinds.where}) >/dev/null"
    fill = "dd if=/dev/zero of=/proc/$$/fd/2 bs=64k count=1 2>/dev/null"
    script = write(folder / "script", f"#!/bin/bash\n{fill}\n{limited}\necho done")
    run = [launcher, "--merge=keep", "--layout=shared", f"--layout-key={key}", "--", str(script)]
    process = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read() == b"done\n"
    process.communicate()


def test_a_script_that_limits_its_own_memory(launch: list[str], folder: Path) -> None:
    """The reservation for programs does not count in shells."""
    inner = write(folder / "inner", "#!/bin/bash\nulimit -v 2000000\nx=$(seq 200000)\necho ${#x}")
    for shell in ("sh", "bash"):
        outer = write(folder / "outer", f"#!/bin/{shell}\n{inner}\n{shell} {inner}")
        direct = subprocess.run([outer], capture_output=True, text=True, check=True)
        done = subprocess.run([*launch, outer], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, direct.stdout, "")


@pytest.mark.parametrize("answer", ["1", "kill"])
def test_filters_that_programs_install(
    launcher: str, key: str, kinds: Programs, programs: Programs, answer: str
) -> None:
    """In a tree: a filter that denies mremap, which moving needs."""
    run = [launcher, "--merge=keep", "--layout=shared", f"--layout-key={key}"]
    run += ["--layout-scope=tree", "--", "sh", "-c"]
    done = subprocess.run(
        [*run, f"{programs.deny} {answer}:25 {kinds.where}"], capture_output=True, text=True
    )
    assert done.returncode == 0 and json.loads(done.stdout)["argc"] == 1
    assert "seccomp filter of its own" in done.stderr


def test_scripts_as_pid_1(launch: list[str], kinds: Programs, folder: Path) -> None:
    """An entrypoint: the helper is its child, but invisible, and gone before the program."""
    look = "import os\ntry: os.wait(); print('a child')\nexcept ChildProcessError: print('none')\n"
    text = f"#!/bin/sh\nset -e\n{kinds.where} >{folder}/child\nsleep 0.05 & wait\n"
    script = write(folder / "script", f'{text}exec {sys.executable} -c "{look}"')
    done = subprocess.run(
        [*AS_PID_1, *launch, script],
        capture_output=True,
        text=True,
        check=True,
        timeout=LAST_RESORT_SECONDS,
    )
    assert done.stdout == "none\n"
    alone = write(folder / "alone", f"#!/bin/sh\nexec {kinds.where}\n")
    child: dict[str, Any] = json.loads((folder / "child").read_text())
    assert parts(child) == parts(where(*launch, alone))
    assert parts(where(*AS_PID_1, *launch, alone)) == parts(child)
    # It ends as a shell too, and with children that remain.
    for ending in ("exit 4", "sleep 60 & exit 4"):
        script = write(folder / "script", f"#!/bin/sh\n{ending}")
        assert (
            subprocess.run([*AS_PID_1, *launch, script], timeout=LAST_RESORT_SECONDS).returncode
            == 4
        )


@pytest.mark.parametrize("scope", ["program", "tree"])
def test_a_program_that_restarts_itself_without_randomisation(
    launch: list[str], programs: Programs, folder: Path, scope: str
) -> None:
    """As sanitizers, benchmarks and UML do: undoing that would be an endless loop."""
    program = programs.folder / "restarts"
    compile_to(program, ["gcc", "-O1", SOURCES / "restarts.c"])
    script = write(folder / "script", f"#!/bin/sh\n{program}\nexit $?")
    for command in (program, script):
        for prefix in ((), (*launch[:-1], f"--layout-scope={scope}", "--")):
            done = subprocess.run([*prefix, command], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


ANSWERS = """
import os, socket
channel = socket.socket(fileno=int(os.environ["CHANNEL"]))
channel.sendall(b"%s %d" % (channel.recv(99), os.getpid()))
"""


@pytest.mark.parametrize("options", [[], ["--layout-scope=tree"]], ids=["program", "tree"])
def test_a_worker_with_an_inherited_channel(launch: list[str], options: list[str]) -> None:
    """As pm2 and Node's cluster start workers: a descriptor by number, and the child's PID."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [*launch[:-1], *options, "--", sys.executable, "-c", ANSWERS],
            pass_fds=[theirs.fileno()],
            env=os.environ | {"CHANNEL": str(theirs.fileno())},
        )
        theirs.close()
        ours.sendall(b"hello")
        assert ours.recv(99) == b"hello %d" % process.pid
        # No helper holds the other end.
        assert ours.recv(99) == b""
        assert process.wait(timeout=LAST_RESORT_SECONDS) == 0
