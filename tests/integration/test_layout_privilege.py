"""Programs that gain privilege at exec keep it, whatever starts them under a shared layout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import Programs
from .support.layouts import folder, key, kinds, launch, parts, user, where, write

__all__ = ["folder", "key", "kinds", "launch"]


@pytest.mark.parametrize("how", ["{}", "exec {}", "({})", "env {}"])
def test_privileged_programs_keep_their_privilege(
    launcher: str, kinds: Programs, folder: Path, how: str
) -> None:
    """A user's start script calls some: they are released before that."""
    setuid, capable = folder / "id", folder / "capable"
    shutil.copy("/usr/bin/id", setuid)
    setuid.chmod(0o4755)
    shutil.copy("/usr/bin/cat", capable)
    subprocess.run(["setcap", "cap_net_bind_service+ep", capable], check=True)
    nobody, wrapped = user(launcher, folder)
    called = how.format(f"{setuid} -u")
    before = f"{kinds.where} >{folder}/where\n"
    script = write(folder / "script", f"#!/bin/bash\n{before}{called}")
    status = write(folder / "status", f"#!/bin/sh\n{capable} /proc/self/status | grep CapEff")
    (folder / "where").touch()
    (folder / "where").chmod(0o666)
    outputs = []
    for prefix in (nobody, wrapped, [*wrapped, "--merge=keep", "--require", "--"]):
        seen = []
        for file in (script, status):
            done = subprocess.run([*prefix, file], capture_output=True, text=True, check=True)
            seen.append(done.stdout)
            lines = [line for line in done.stderr.splitlines() if "KSM is off" not in line]
            if prefix is nobody:
                assert lines == []
            else:
                assert len(lines) == 1 and "changes user, group or capabilities" in lines[0]
        outputs.append(seen)
    assert outputs[0][0] == "0\n"
    assert outputs == [outputs[0]] * 3
    # What comes before is moved anyway.
    alone = write(folder / "alone", f"#!/bin/sh\nexec {kinds.where}")
    found = json.loads((folder / "where").read_text())
    assert parts(found) == parts(where(*wrapped, "--quiet", alone))


def test_a_privileged_interpreter(launcher: str, folder: Path) -> None:
    """It is gained by its scripts, whose own files have no privileges."""
    awk = folder / "awk"
    shutil.copy(Path("/usr/bin/mawk"), awk)
    awk.chmod(0o4755)
    program = 'BEGIN { while ((getline l < "/proc/self/status") > 0) if (l ~ /^Uid/) print l }'
    write(folder / "interpreted", f"#!{awk} -f\n{program}")
    script = write(folder / "script", f"#!/bin/sh\n{folder}/interpreted\n{folder}/interpreted")
    nobody, wrapped = user(launcher, folder, "--quiet")
    direct = subprocess.check_output([*nobody, script])
    assert direct.count(b"\t0\t") == 2
    assert subprocess.check_output([*wrapped, script]) == direct


def test_sudo_and_su(launcher: str, launch: list[str], kinds: Programs, folder: Path) -> None:
    """sudo reports if a tracer took its privilege."""
    nobody, wrapped = user(launcher, folder, "--quiet")
    script = write(folder / "script", "#!/bin/sh\nsudo -n true 2>&1\nid -u")
    direct = subprocess.run([*nobody, script], capture_output=True, text=True, check=False)
    assert "password" in direct.stdout, direct
    done = subprocess.run([*wrapped, script], capture_output=True, text=True, check=False)
    assert done.stdout == direct.stdout
    # Root's: what they start has the kernel's layout, and the script's next program the group's.
    text = f"#!/bin/sh\nsu -s /bin/sh nobody -c {kinds.where}\nsudo -u nobody {kinds.where}\n"
    script = write(folder / "root", f"{text}exec {kinds.where}\n")
    done = subprocess.run([*launch, script], capture_output=True, text=True, check=True)
    decoder = json.JSONDecoder()
    found, rest = [], done.stdout
    while rest.strip():
        value, end = decoder.raw_decode(rest.lstrip())
        found.append(parts(value))
        rest = rest.lstrip()[end:]
    alone = write(folder / "alone", f"#!/bin/sh\nexec {kinds.where}\n")
    expected = parts(where(*launch, alone))
    assert len(found) == 3 and found[2] == expected
    assert expected not in found[:2] and found[0] != found[1]


# Each names the file in a way that means another one to a tracer, or in another folder.
WAYS = (
    "./{file} -u",
    "./relative -u",
    "(exec 3<./{file}; exec /proc/self/fd/3 -u)",
    "(exec 3<./{file}; exec /proc/thread-self/fd/3 -u)",
    "(exec 3<./{file}; exec /dev/fd/3 -u)",
    "(exec <./{file}; exec /dev/stdin -u)",
    "/proc/self/cwd/{file} -u",
    "./via/{file} -u",
    "../$(basename $PWD)/./{file} -u",
)


@pytest.mark.parametrize("way", WAYS)
def test_names_that_depend_on_who_looks(launcher: str, folder: Path, way: str) -> None:
    """A setuid program keeps its user, and a program without is still moved."""
    for file, mode in (("id", 0o4755), ("plain", 0o755)):
        shutil.copy("/usr/bin/id", folder / file)
        (folder / file).chmod(mode)
    write(folder / "relative", "#!./id\n")
    (folder / "via").symlink_to("/proc/self/cwd")
    nobody, wrapped = user(launcher, folder)
    for file, expected in (("id", "0"), ("plain", "65534")):
        if file not in way.format(file=file):
            continue
        line = f"#!/bin/bash\ncd {folder}\n{way.format(file=file)}\n"
        script = write(folder / f"script-{file}", line)
        for prefix in (nobody, wrapped):
            done = subprocess.run([*prefix, script], capture_output=True, text=True, check=False)
            assert done.stdout == f"{expected}\n", done.stderr
            assert ("changes user" in done.stderr) == (prefix is wrapped and file == "id")


@pytest.mark.parametrize(
    "identity",
    [("--ruid=65534",), ("--rgid=65534", "--clear-groups"), ("--egid=65534", "--clear-groups")],
)
@pytest.mark.parametrize("scope", ["program", "tree"])
def test_another_effective_user(
    launch: list[str], kinds: Programs, identity: tuple[str, ...], scope: str
) -> None:
    """As below a setuid program: the exec resets the stack limit, so what is reserved decides."""
    command = ("setpriv", *identity, launch[0], f"--layout-scope={scope}", "--require", *launch[1:])
    first, second = (where(*command, kinds.where) for _ in range(2))
    assert parts(first) == parts(second)


def test_what_the_exec_skips_does_not_decide(
    launch: list[str], kinds: Programs, tmp_path: Path
) -> None:
    """A setgid folder, and a setuid file that nobody may execute, come first in PATH."""
    path = ""
    for name, mode in (("folder", 0o2755), ("file", 0o4644), ("program", 0o755)):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "server"
        if name == "folder":
            file.mkdir()
        else:
            shutil.copy(kinds.where, file)
        file.chmod(mode)
        path += f"{tmp_path / name}:"
    command = (launch[0], "--require", *launch[1:])
    found = parts(where("env", f"PATH={path}{os.environ['PATH']}", *command, "server"))
    assert found == parts(where(*command, str(tmp_path / "program" / "server")))


def test_where_setuid_has_no_effect(launch: list[str], kinds: Programs, tmp_path: Path) -> None:
    """It gains nothing on a file system that is mounted nosuid."""
    script = (
        'mount -t tmpfs -o nosuid,mode=755 tmpfs "$1"; cp "$2" "$1/server"; chmod 4755 "$1/server"'
        '; server=$1/server; shift 2; exec "$@" "$server"'
    )
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    inside = ("unshare", "--mount", "sh", "-euc", script, "sh", str(mounted), kinds.where)
    first, second = (where(*inside, launch[0], "--require", *launch[1:]) for _ in range(2))
    assert parts(first) == parts(second)
