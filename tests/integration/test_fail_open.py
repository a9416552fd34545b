"""Merging is impossible: one line, and the program starts, unless --require is given."""

from __future__ import annotations

import errno
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compiled import build_arm64
from schemas import PROBE
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


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errno.EPERM, "seccomp filter refuses"),
        (errno.EINVAL, "seccomp filter refuses"),
        (errno.ENOSYS, "seccomp filter refuses"),
        (errno.ENOMEM, "no memory"),
        (0, "seccomp filter refuses"),
    ],
)
def test_seccomp(programs: Any, launcher: str, error: int, words: str) -> None:
    """Container profiles return EPERM; 0 fakes success; EINVAL looks like an old kernel."""
    deny = [programs.deny, str(error), launcher]
    done = run([*deny, "--", "sh", "-c", "echo started"])
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
    assert "starts anyway" in done.stderr
    assert "to do:" in done.stderr
    assert run([*deny, "--quiet", "--", "true"]).stderr == ""
    required = run([*deny, "--quiet", "--require", "--", "sh", "-c", "echo started"])
    assert (required.returncode, required.stdout) == (125, "")
    assert words in required.stderr


@pytest.mark.host_ksm
def test_seccomp_through_ksmrun_run(programs: Any, ksmrun: str) -> None:
    # Otherwise the shim would mark the memory instead.
    deny = [programs.deny, str(errno.EPERM), ksmrun, "run", "--mechanism=prctl"]
    done = run([*deny, "--", "sh", "-c", "echo started"])
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert len(done.stderr.splitlines()) == 1
    required = run([*deny, "--require", "--", "sh", "-c", "echo started"])
    assert (required.returncode, required.stdout) == (125, "")
    assert "seccomp" in required.stderr
    check = run([programs.deny, str(errno.EPERM), ksmrun, "check", "--json"])
    assert check.returncode == 1
    found = json.loads(check.stdout)
    assert found["probe"]["prctl_obstacle"] == "seccomp"


def test_off_needs_no_kernel_support(programs: Any, launcher: str) -> None:
    done = run([programs.deny, str(errno.EPERM), launcher, "--merge=off", "--require", "true"])
    assert (done.returncode, done.stderr) == (0, "")


def test_under_an_emulator(tmp_path: Path) -> None:
    """qemu-user answers prctl 67 with EINVAL, although the kernel below has it."""
    build = tmp_path / "build"
    build_arm64(build)
    emulated = ["qemu-aarch64", str(build / "ksmrun-exec")]
    done = run([*emulated, "--", "/nonexistent"])
    assert done.returncode == 127
    assert "does not pass prctl(PR_SET_MEMORY_MERGE) on" in done.stderr
    assert run([*emulated, "--require", "--", "/bin/true"]).returncode == 125
    probe = json.loads(run([*emulated, "--probe"]).stdout)
    assert (probe["machine"], probe["prctl_obstacle"]) == ("aarch64", "not-passed-on")


def test_libraries_that_are_meant_for_the_program(ksmrun: str, tmp_path: Path) -> None:
    """They do not suit Python, without which the program starts then."""
    needs = run(["ldd", sys.executable]).stdout.split()
    library = next(name for name in ("libpython3.11.so.1.0", "libm.so.6") if name in needs)
    (tmp_path / library).write_text("no library")
    for options in (["--guard=skip"], ["--layout=shared"], ["--thp=keep"]):
        environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
        words = [ksmrun, "run", *options, "--", "sh", "-c", "echo $LD_LIBRARY_PATH"]
        done = subprocess.run(words, capture_output=True, text=True, env=environment)
        assert (done.returncode, done.stdout) == (0, f"{tmp_path}\n"), done.stderr
        assert "Python does not start with the libraries of LD_LIBRARY_PATH" in done.stderr


@pytest.mark.host_ksm
def test_ksm_off_is_said_and_started(launcher: str, programs: Any) -> None:
    done = run([launcher, "--", programs.flag])
    assert done.returncode == 0, "the flag is set all the same"
    assert "KSM is off on this host" in done.stderr
    assert "ksmrun host on" in done.stderr


@pytest.mark.usefixtures("ksm_on")
def test_ksm_on_is_silent(launcher: str, ksmrun: str, programs: Any) -> None:
    for way in ([launcher], [ksmrun, "run"]):
        assert run([*way, "--", programs.flag]).stderr == ""


GARBAGE = (
    "mount -t tmpfs none /sys/kernel/mm/ksm && cd /sys/kernel/mm/ksm && "
    "for name in run pages_to_scan sleep_millisecs pages_shared pages_sharing general_profit; "
    "do printf 'gar\\377bage\\n' > $name; done; mkdir advisor_mode; cd /"
)


@pytest.mark.host_ksm
@pytest.mark.parametrize("kind", ["no /sys", "read-only /sys", "no /proc", "garbage"])
def test_odd_mounts(
    launcher: str, ksmrun: str, programs: Any, kind: str, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(tmp_path))
    prepare = {
        "no /sys": "umount -l /sys",
        "read-only /sys": "mount -o remount,bind,ro /sys",
        "no /proc": "umount -l /proc",
        "garbage": GARBAGE,
    }[kind]
    for way in ([launcher], [ksmrun, "run"]):
        command = shlex.join([*way, "--", programs.flag])
        done = run(["unshare", "-m", "sh", "-c", f"{prepare} && exec {command}"])
        assert done.returncode == 0, (way, done.stderr)
        assert "Traceback" not in done.stderr
    for words in (["check"], ["host", "show"], ["host", "show", "--json"], ["ps"], ["host", "on"]):
        line = shlex.join([ksmrun, *words])
        done = run(["unshare", "-m", "sh", "-c", f"{prepare} && exec {line}"])
        assert "Traceback" not in done.stderr, (words, done.stderr)
        assert done.returncode in (0, 1), (words, done.stderr)
        if kind == "read-only /sys" and words == ["host", "on"]:
            assert "read-only" in done.stderr
        if kind == "no /sys" and words[0] == "host":
            assert "/sys is not mounted" in done.stderr
    run([ksmrun, "host", "restore"])


@pytest.mark.host_ksm
def test_probe(launcher: str) -> None:
    found = json.loads(run([launcher, "--probe"]).stdout)
    assert found["schema"] == PROBE
    assert found["prctl_supported"] is True
    assert found["kept_over_fork"] is found["kept_over_exec"] is True
    # VMAs that merging costs, compared with counting them here.
    assert found["mmap_vmas"] in (1, 2, 64, 65)
    fields = Path("/proc/self/ksm_stat").read_text().replace(":", " ").splitlines()
    assert found["ksm_stat_fields"] == [line.split()[0] for line in fields]
    assert found["set_mm_map_allowed"] is True
    assert found["scanned_after_exec"] == "unknown", "ksmd is off"


@pytest.mark.host_ksm
@pytest.mark.usefixtures("ksm_on")
def test_probe_sees_ksmd_scan(launcher: str) -> None:
    assert json.loads(run([launcher, "--probe"]).stdout)["scanned_after_exec"] == "yes"


def test_hidepid(ps_of_nobody: tuple[str, ...]) -> None:
    line = shlex.join(ps_of_nobody)
    # In its own PID namespace: hidepid belongs to the namespace's /proc, not to the mount.
    hide = [
        "unshare",
        "-p",
        "-f",
        "--mount-proc",
        "sh",
        "-c",
        "mount -o remount,hidepid=2 /proc && ",
    ]
    hide[-1] += f"{line}; true"
    done = run(hide)
    assert done.returncode == 0
    assert "hidepid" in done.stdout
    assert "Traceback" not in done.stderr


def test_stderr_without_a_reader(launcher: str, ksmrun: str, tmp_path: Path) -> None:
    """KSM is off, so each launch prints a line; nobody reads it, and the program starts."""
    for way in ([launcher], [ksmrun, "run"]):
        reader, writer = os.pipe()
        os.close(reader)
        # As from a shell: Python itself ignores SIGPIPE, and so would its children.
        command = [*way, "--", "sh", "-c", f"echo started >{tmp_path}/started"]
        done = subprocess.run(command, stderr=writer, restore_signals=True, check=False)
        os.close(writer)
        assert done.returncode == 0
        assert (tmp_path / "started").exists()
        (tmp_path / "started").unlink()
        full = f"ulimit -f 1; exec {shlex.join(way)} -- true 2>>{tmp_path}/big"
        (tmp_path / "big").write_bytes(bytes(1 << 20))
        assert run(["sh", "-c", full]).returncode == 0


def test_inherited_children_stay(ksmrun: str) -> None:
    """`helper & exec ksmrun run -- server`: the server finds the helper's exit code."""
    code = "import os; print(os.waitstatus_to_exitcode(os.wait()[1]))"
    program = shlex.join([ksmrun, "run", "--quiet", "--", sys.executable, "-c", code])
    for seconds in (0.02, 0.1, 0.2, 0.3, 0.4):
        line = f"mount -t tmpfs none /run; (sleep {seconds}; exit 7) & exec {program}"
        assert run(["unshare", "-m", "sh", "-c", line]).stdout == "7\n"


def test_einval_filter_without_proc(programs: Any, launcher: str) -> None:
    """PR_GET_MEMORY_MERGE works, so the kernel has the prctl and is not an old one."""
    line = shlex.join([programs.deny, "22", launcher, "--", "/bin/true"])
    done = run(["unshare", "-m", "sh", "-c", f"mount -t tmpfs none /proc && {line}"])
    assert "older" not in done.stderr and "6.4" not in done.stderr
    assert done.returncode == 0


def test_a_filter_of_the_past_does_not_refuse(programs: Any, ksmrun: str) -> None:
    """A denial for one process says nothing about the next one."""
    assert run([programs.deny, "1", ksmrun, "run", "--", "true"]).returncode == 0
    prctl = ["run", "--require", "--mechanism=prctl", "--", "true"]
    done = run([programs.deny, "95", ksmrun, *prctl])
    assert done.returncode == 125
    assert run([ksmrun, "run", "--require", "--", programs.flag]).returncode == 0


@pytest.mark.usefixtures("nobody")
def test_probe_that_cannot_ask(launcher: str, tmp_path: Path) -> None:
    """No child can be started: nothing is claimed."""
    copy = reachable(launcher, tmp_path)
    prefix = ["setpriv", "--reuid=65531", "--regid=65531", "--clear-groups"]
    done = run(["bash", "-c", f"ulimit -u 0; exec {shlex.join([*prefix, copy, '--probe'])}"])
    found = json.loads(done.stdout)
    assert found["prctl_supported"] is None
    assert found["kept_over_exec"] is None
