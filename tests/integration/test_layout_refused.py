"""Programs that keep the kernel's layout, with a message; or with --require do not start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .conftest import Programs
from .support.layouts import key, keys, kinds, refused, shared

__all__ = ["key", "keys", "kinds", "shared"]


def test_programs_that_are_not_moved(
    launcher: str, key: str, programs: Programs, kinds: Programs, tmp_path: Path
) -> None:
    run = [launcher, "--layout=shared", f"--layout-key={key}"]
    # The stack would grow into what is above the mmap area.
    deep = ["bash", "-c", 'ulimit -Ss 300000; exec "$@"', "bash", *run]
    assert "too large for a program of 32 bits" in refused(*deep, programs.flag_32)
    # x32: an ELF file of 32 bits for x86-64.
    other = tmp_path / "x32"
    head = bytearray(Path(programs.flag_32).read_bytes())
    head[18] = 62
    other.write_bytes(head)
    other.chmod(0o755)
    done = subprocess.run([*run, "--", other], capture_output=True, text=True, check=False)
    assert done.returncode == 126 and "32 bits but not i386's" in done.stderr
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
    # The exec skips a file that cannot be run, and tries the next of its name in PATH.
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


# No file can be opened for writing any more (landlock_create_ruleset(2)); no_new_privs is needed.
LANDLOCK = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
write_file = ctypes.c_uint64(1 << 1)
rules = libc.syscall(444, ctypes.byref(write_file), 8, 0)
assert rules >= 0 and libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.syscall(446, rules, 0) == 0
os.execvp(sys.argv[1], sys.argv[1:])
"""
LANDLOCKED = (sys.executable, "-c", LANDLOCK)


def test_where_it_cannot_be_done(launcher: str, key: str, programs: Programs) -> None:
    run = [launcher, "--layout=shared", f"--layout-key={key}"]
    assert "cannot be traced" in refused("strace", "-o", "/dev/null", *run, "true")
    ptrace, set_mm = "1:101", "1:157:35"
    assert "cannot be traced" in refused(programs.deny, ptrace, *run, "true")
    assert "PR_SET_MM_MAP" in refused(programs.deny, set_mm, *run, "true")
    assert "PR_SET_MM_MAP" in refused(programs.deny, "kill:157:35", *run, "true")
    # mremap fails, and madvise kills its caller.
    for filter_ in ("1:25", "kill:28"):
        assert "seccomp filter denies" in refused(programs.deny, filter_, *run, "true")
    assert "legacy address layout" in refused("setarch", "-L", *run, "true")
    assert "/proc is not mounted" in refused("unshare", "--pid", "--fork", *run, "true")
    # Neither by the stack limit nor by a reservation.
    limited = ["bash", "-c", 'ulimit -Hs 100000; ulimit -v 9000000; exec "$@"', "bash", *run]
    assert "the limit of the address space" in refused(*limited, "true")
    # Else the program, already as arranged for the move, would have to be killed.
    sealed = ["unshare", "--mount", "sh", "-euc", 'mount -o remount,bind,ro /proc; exec "$@"', "sh"]
    assert "cannot be opened for writing (Read-only" in refused(*sealed, *run, "true")
    assert "cannot be opened for writing (Permission" in refused(*LANDLOCKED, *run, "true")
    few = ["sh", "-c", 'ulimit -n 5; exec "$@"', "sh"]
    assert "raise the limits of processes and descriptors" in refused(*few, *run, "true")
    small = ["sh", "-c", 'ulimit -s 32; exec "$@"', "sh"]
    assert "needs a stack of 64 KiB" in refused(*small, *run, "true")


def test_a_damaged_key_is_told_with_what_to_do(launcher: str, tmp_path: Path) -> None:
    """One that was made by hand is made again; the automatic one is only removed."""
    key = tmp_path / "key"
    run = [launcher, "--layout=shared", f"--layout-key={key}"]
    for kind in ("short", "fifo"):
        key.unlink(missing_ok=True)
        if kind == "fifo":
            os.mkfifo(key, 0o400)
        else:
            key.write_bytes(b"short")
            key.chmod(0o400)
        said = refused(*run, "true")
        assert "not a file of 32 bytes" in said and "to do: make one: ksmrun layout key" in said
        said = refused(*run, "--layout-group=games", "true")
        assert "not a file of 32 bytes" in said and "to do: remove it (rm)" in said


def test_below_a_setgid_program_of_a_user(launcher: str, key: str, tmp_path: Path) -> None:
    """The kernel keeps its memory from its user, which is no fault of /proc."""
    for each in (tmp_path, *tmp_path.parents[:2]):
        each.chmod(0o755)
    setgid, own = tmp_path / "ksmrun-exec", tmp_path / "nobodys"
    shutil.copy(launcher, setgid)
    os.chown(setgid, 0, 5)
    setgid.chmod(0o2755)
    shutil.copy(key, own)
    os.chown(own, 65534, 65534)
    own.chmod(0o400)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    said = refused(*nobody, setgid, "--layout=shared", f"--layout-key={own}", "true")
    assert "below a setuid or setgid program, may not be traced" in said


# In a user namespace (since Linux 6.7: 21ca59b365c0), so that the host has no other formats.
REGISTERED = """
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
echo ":ksmrun-test:M::KSMX::/bin/true:" >/proc/sys/fs/binfmt_misc/register
exec "$@"
"""


def test_what_an_interpreter_of_binfmt_misc_runs(launcher: str, key: str, tmp_path: Path) -> None:
    """It may be of any kind. Text without a first line for an interpreter is a shell's."""
    inside = ["unshare", "--user", "--mount", "--map-root-user", "sh", "-ec", REGISTERED, "sh"]
    run = [*inside, launcher, "--layout=shared", f"--layout-key={key}"]
    program, text = tmp_path / "program", tmp_path / "text"
    program.write_bytes(b"KSMX\0")
    text.write_text("exit 0\n")
    for file in (program, text):
        file.chmod(0o755)
    assert f"{program} is run by an interpreter of binfmt_misc" in refused(*run, program)
    done = subprocess.run([*run, "--quiet", "--require", "--", text], check=False)
    assert done.returncode == 0
