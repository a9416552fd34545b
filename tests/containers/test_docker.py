"""Docker with ksmrun-oci among its runtimes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS

from ksmrun.model.container import RuntimeEngine as Engine

from .conftest import (
    Done,
    daemon,
    find_process,
    group_with_key,
    merges,
    parts,
    printed,
    run,
    seen_by_ps,
)

LOOK = ("grep", "any", "/proc/self/ksm_stat")
SAY = """
cat /proc/$$/cmdline /proc/1/cmdline; env | grep -v HOSTNAME; id; pwd; ls /
grep -E 'Sig[^Q]|Cap|NoNew|Secc|Groups' /proc/self/status
exit 7
"""


class Docker:
    """Client of a daemon of the test's own, and an image with a shell."""

    image = "box"
    # Runtimes of a group that has a key, and of one that has none.
    shared, without_key = "", "ksmrun-no-such-group"

    def __init__(self, socket: Path) -> None:
        # The distribution's, like the daemon: another client may speak another version.
        self.words = ["/usr/bin/docker", "--host", f"unix://{socket}"]
        self.names: list[str] = []

    def call(self, *words: str) -> Done:
        return run(*self.words, *words)

    def run(self, options: list[str], *command: str, runtime: str = "ksmrun") -> Done:
        start = [f"--runtime={runtime}", "--rm", "--network=none", *options]
        return self.call("run", *start, self.image, *command)

    def start(self, options: list[str], *command: str, runtime: str = "ksmrun") -> str:
        self.names.append(f"ko{uuid.uuid4().hex[:8]}")
        words = [f"--runtime={runtime}", "--detach", f"--name={self.names[-1]}", "--network=none"]
        done = self.call("run", *words, *options, self.image, *command)
        assert done.returncode == 0, done.stderr
        return self.names[-1]


@pytest.fixture(scope="module")
def docker(folder: Path, oci: Path, root: Path) -> Iterator[Docker]:
    place = folder / "d"
    place.mkdir()
    with group_with_key() as group:
        yield from started(place, oci, root, group)


def settings(oci: Path, group: str) -> str:
    """Return what is printed, with one more runtime of each kind."""
    found = json.loads(printed(Engine.DOCKER, oci))
    opened = json.loads(printed(Engine.DOCKER, oci, "--environment", "--layout-group", group))
    without = json.loads(printed(Engine.DOCKER, oci, "--layout-group", "no-such-group"))
    found["runtimes"] |= {
        "ksmrun-environment": opened["runtimes"].pop("ksmrun-by-request"),
        **{name: entry for name, entry in opened["runtimes"].items() if name != "ksmrun"},
        "ksmrun-no-such-group": without["runtimes"]["ksmrun-no-such-group"],
    }
    return json.dumps(found)


def started(place: Path, oci: Path, root: Path, group: str) -> Iterator[Docker]:
    (place / "daemon.json").write_text(settings(oci, group))
    command: list[str | Path] = ["dockerd", f"--config-file={place}/daemon.json"]
    command += [f"--data-root={place}/data", f"--exec-root={place}/exec", f"--pidfile={place}/pid"]
    command += [f"--host=unix://{place}/s", "--storage-driver=vfs", "--bridge=none"]
    command += ["--iptables=false", "--ip6tables=false"]
    made = Docker(place / "s")
    made.shared = f"ksmrun-{group}"
    with daemon(command, place / "log", lambda: made.call("info").returncode == 0):
        tar = place / "box.tar"
        subprocess.run(["tar", "-C", root, "-cf", tar, "bin", "etc", "tmp"], check=True)
        assert made.call("import", str(tar), made.image).returncode == 0
        yield made
        for name in made.names:
            made.call("rm", "--force", name)


OPTIONS = {
    "plain": [],
    "hardened": [
        *("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--user=1000:1000"),
    ],
    "init": ["--init"],
    "entrypoint": ["--entrypoint=/bin/busybox"],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_same_output_and_exit_code(docker: Docker, name: str) -> None:
    options = OPTIONS[name]
    bare = docker.run(options, "sh", "-c", SAY, runtime="runc")
    assert bare.returncode == 7, bare.stderr
    done = docker.run(options, "sh", "-c", SAY)
    assert (done.returncode, done.stdout) == (7, bare.stdout), done.stderr
    assert docker.run(options, *LOOK).stdout == "ksm_merge_any: yes\n"
    assert docker.run(options, *LOOK, runtime="runc").stdout == "ksm_merge_any: no\n"


def test_from_outside(docker: Docker, seconds: str) -> None:
    name = docker.start([], "sleep", seconds + "1")
    assert merges(int(docker.call("inspect", "--format={{.State.Pid}}", name).stdout))
    for options in ([], ["--user=1000"], ["--workdir=/tmp"]):
        done = docker.call("exec", *options, name, *LOOK)
        assert (done.returncode, done.stdout) == (0, "ksm_merge_any: yes\n"), done.stderr
    assert docker.call("exec", "--detach", name, "sleep", seconds).returncode == 0
    assert merges(find_process(seconds))
    # Docker's own record of changes contains nothing of ours.
    assert "ksmrun" not in docker.call("diff", name).stdout


def test_ps_calls_it_by_its_name(docker: Docker, seconds: str) -> None:
    """The name is in the daemon's data root, which is not the usual one here."""
    name = docker.start([], "sleep", seconds + "1")
    assert docker.call("exec", "--detach", name, "sleep", seconds).returncode == 0
    for pid in (find_process(seconds + "1"), find_process(seconds)):
        assert merges(pid)
        found = seen_by_ps(pid)
        assert (found["engine"], found["container"]) == ("docker", name)
    docker.call("rename", name, f"{name}-renamed")
    docker.names.append(f"{name}-renamed")
    assert seen_by_ps(pid)["container"] == f"{name}-renamed"


def test_exec_with_a_terminal(docker: Docker) -> None:
    name = docker.start([], "sleep", "300")
    master, slave = pty.openpty()
    command = [
        *docker.words,
        "exec",
        "-it",
        "-u",
        "1000",
        name,
        "sh",
        "-c",
        "tty; grep any /proc/$$/ksm_stat; exit 5",
    ]
    client = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    text = b""
    try:
        while chunk := os.read(master, 4096):
            text += chunk
    except OSError:
        pass
    os.close(master)
    assert client.wait(timeout=LAST_RESORT_SECONDS) == 5
    assert b"/dev/pts/" in text
    assert b"ksm_merge_any: yes" in text


def test_asking(docker: Docker) -> None:
    def looks(options: list[str], runtime: str) -> str:
        return docker.run(options, *LOOK, runtime=runtime).stdout

    assert looks([], "ksmrun-by-request") == "ksm_merge_any: no\n"
    # An image may have set it, so Docker's operator decides whether it counts.
    asks = ["--env=KSMRUN_OCI=merge=on"]
    assert looks(asks, "ksmrun-by-request") == "ksm_merge_any: no\n"
    assert looks(asks, "ksmrun-environment") == "ksm_merge_any: yes\n"
    assert looks(["--env=KSMRUN_OCI=merge=off"], "ksmrun") == "ksm_merge_any: no\n"
    # Labels never reach a runtime.
    assert looks(["--label=ksmrun.merge=on"], "ksmrun-by-request") == "ksm_merge_any: no\n"


def test_stopped_by_a_signal_and_started_again(docker: Docker) -> None:
    text = "trap 'exit 9' TERM; while :; do sleep 0.05; done"
    name = docker.start([], "sh", "-c", text)
    for _ in range(2):
        assert docker.call("exec", name, "sh", "-c", "sleep 0.3").returncode == 0
        docker.call("stop", "--time=20", name)
        assert docker.call("inspect", "--format={{.State.ExitCode}}", name).stdout == "9\n"
        docker.call("start", name)


def test_commands_that_cannot_run(docker: Docker) -> None:
    for command, code in (("nothing", 127), ("/bin/unexecutable", 126)):
        assert docker.run([], command, runtime="runc").returncode == code
        assert docker.run([], command).returncode == code


def test_required_and_denied(docker: Docker, folder: Path) -> None:
    profile = folder / "deny-docker.json"
    profile.write_text(
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["prctl"], "action":'
        ' "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 67, "op": "SCMP_CMP_EQ"}]}]}'
    )
    deny = f"--security-opt=seccomp={profile}"
    done = docker.run([deny], *LOOK)
    assert (done.returncode, done.stdout) == (0, "ksm_merge_any: no\n")
    assert docker.run([deny, "--env=KSMRUN_OCI=require=true"], *LOOK).returncode == 125
    # Docker's user sees what the wrapper itself refuses.
    done = docker.run(["--env=KSMRUN_OCI=require=true"], *LOOK, runtime=docker.without_key)
    assert done.returncode != 0
    assert "ksmrun layout key no-such-group" in done.stderr


def test_one_layout_for_a_group(docker: Docker) -> None:
    asks = ["--env=KSMRUN_OCI=require=true"]
    seen = set()
    for options in (asks, [*asks, "--read-only"], [*asks, "--user=1000", "--cap-drop=all"]):
        done = docker.run(options, "where", runtime=docker.shared)
        assert done.returncode == 0, done.stderr
        seen.add(parts(done.stdout))
    assert len(seen) == 1


def test_an_image_takes_no_group_s_key(docker: Docker) -> None:
    group = docker.shared.removeprefix("ksmrun-")
    asks = f"--env=KSMRUN_OCI=merge=on,layout=shared,layout-group={group}"
    for runtime in ("ksmrun", "ksmrun-environment"):
        assert docker.run([asks], "ls", "/dev/ksmrun", runtime=runtime).stdout == "ksmrun-exec\n"
