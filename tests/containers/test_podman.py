"""Podman with ksmrun-oci as its runtime."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from folders import let_all_in

from ksmrun.model.container import RuntimeEngine as Engine

from .conftest import Done, find_process, make_root, merges, parts, printed, run, seen_by_ps, tree

LIMITS = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]\n'
ENGINE = '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n'


def configuration(oci: Path) -> str:
    """Return what `ksmrun wrap runtime` prints, and what this host needs."""
    return LIMITS + printed(Engine.PODMAN, oci).replace("[engine]\n", ENGINE)


class Podman:
    """Podman with its own storage, and a root instead of an image."""

    def __init__(self, folder: Path, root: Path, prefix: list[str], real: str) -> None:
        state = ["--root", folder / "state", "--runroot", folder / "run"]
        self.words = [*prefix, "podman", *map(str, state), "--storage-driver", "vfs"]
        self.real, self.root = real, root
        self.names: list[str] = []

    def call(self, *words: str, runtime: str | None = "ksmrun") -> Done:
        """Run podman. runtime: None is the one that podman remembers of a container."""
        chosen = [f"--runtime={runtime}"] if runtime else []
        return run(*self.words, *chosen, *words)

    def run(self, options: list[str], *command: str, runtime: str = "ksmrun") -> Done:
        words = ["run", "--rm", "--network=none", *options, "--rootfs", str(self.root), *command]
        return self.call(*words, runtime=runtime)

    def start(self, options: list[str], *command: str, runtime: str = "ksmrun") -> str:
        self.names.append(f"ko{uuid.uuid4().hex[:8]}")
        words = ["run", "--detach", f"--name={self.names[-1]}", "--network=none", *options]
        done = self.call(*words, "--rootfs", str(self.root), *command, runtime=runtime)
        assert done.returncode == 0, done.stderr
        return self.names[-1]

    def pid(self, name: str) -> int:
        return int(self.call("inspect", "--format={{.State.Pid}}", name).stdout)


@pytest.fixture(scope="module", params=["runc", "crun"])
def podman(
    request: pytest.FixtureRequest,
    folder: Path,
    programs: Path,
    oci: Path,
    private_cgroups: list[str],
) -> Iterator[Podman]:
    place = folder / f"p{request.param}"
    place.mkdir()
    # The name says which one: podman forgets --runtime-flag when it cleans up.
    text = configuration(oci)
    if request.param == "crun":
        text = text.replace("/ksmrun-oci", "/ksmrun-oci-crun")
    (place / "containers.conf").write_text(text)
    prefix = [*(private_cgroups if request.param == "crun" else []), "env"]
    prefix += [f"CONTAINERS_CONF={place}/containers.conf"]
    root = make_root(place / "root", programs)
    # Where podman mounts files of its own; a user namespace's root could not create them.
    for name in ("run/.containerenv", "etc/hostname", "etc/hosts", "etc/resolv.conf"):
        (root / name).touch()
    made = Podman(place, root, prefix, request.param)
    yield made
    made.call("rm", "--all", "--force", "--time=0")


LOOK = ("grep", "any", "/proc/1/ksm_stat")
SAY = """
cat /proc/$$/cmdline /proc/1/cmdline; env | grep -v HOSTNAME; id; pwd; ls /
grep -E 'Sig[^Q]|Cap|NoNew|Secc|Groups' /proc/self/status
exit 7
"""
OPTIONS = {
    "plain": [],
    "hardened": [
        *("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--user=1000:1000"),
    ],
    "user namespace": ["--uidmap=0:100000:65536"],
    "init": ["--init"],
    "privileged": ["--privileged"],
    "memory": ["--memory=100m", "--shm-size=1m"],
    "tmpfs": ["--tmpfs=/run", "--tmpfs=/tmp"],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_same_output_and_exit_code(podman: Podman, name: str) -> None:
    options, real = OPTIONS[name], podman.real
    bare = podman.run(options, "sh", "-c", SAY, runtime=real)
    assert bare.returncode == 7, bare.stderr
    before = tree(podman.root)
    done = podman.run(options, "sh", "-c", SAY)
    assert (done.returncode, done.stdout) == (7, bare.stdout), done.stderr
    look = ("grep", "any", "/proc/self/ksm_stat")
    assert podman.run(options, *look).stdout == "ksm_merge_any: yes\n"
    assert podman.run(options, *look, runtime=real).stdout == "ksm_merge_any: no\n"
    assert tree(podman.root) == before


def test_from_outside(podman: Podman, seconds: str) -> None:
    name = podman.start([], "sleep", seconds + "1")
    assert merges(podman.pid(name))
    # Podman remembers the runtime; another user and a terminal are in the process file.
    for options in ([], ["--user=1000"], ["--tty"], ["--privileged", "--workdir=/tmp"]):
        done = podman.call("exec", *options, name, *LOOK[:2], "/proc/self/ksm_stat", runtime=None)
        assert (done.returncode, done.stdout.strip()) == (0, "ksm_merge_any: yes"), done.stderr
    done = podman.call("exec", "--detach", name, "sleep", seconds, runtime=None)
    assert done.returncode == 0
    assert merges(find_process(seconds))


def test_ps_calls_it_by_its_name(podman: Podman, seconds: str) -> None:
    """Also what is executed in it, and after a stop and another start."""
    name = podman.start([], "sleep", seconds + "1")
    assert podman.call("exec", "--detach", name, "sleep", seconds, runtime=None).returncode == 0
    for pid in (podman.pid(name), find_process(seconds)):
        assert merges(pid)
        found = seen_by_ps(pid)
        assert (found["engine"], found["container"]) == ("podman", name)
        assert found["container_id"] == podman.call("inspect", "--format={{.Id}}", name).stdout[:-1]
    podman.call("restart", "--time=0", name, runtime=None)
    assert merges(podman.pid(name))
    assert seen_by_ps(podman.pid(name))["container"] == name


def test_init_is_first(podman: Podman, seconds: str) -> None:
    name = podman.start(["--init"], "sleep", seconds)
    first = podman.pid(name)
    assert "sleep" not in Path(f"/proc/{first}/comm").read_text()
    assert merges(first)
    assert merges(find_process(seconds))


def test_asking(podman: Podman) -> None:
    def looks(options: list[str], runtime: str) -> str:
        return podman.run(options, *LOOK, runtime=runtime).stdout

    assert looks(["--annotation=ksmrun.merge=off"], "ksmrun") == "ksm_merge_any: no\n"
    assert looks([], "ksmrun-by-request") == "ksm_merge_any: no\n"
    assert looks(["--annotation=ksmrun.merge=on"], "ksmrun-by-request") == "ksm_merge_any: yes\n"
    # An image may have set it.
    assert looks(["--env=KSMRUN_OCI=merge=on"], "ksmrun-by-request") == "ksm_merge_any: no\n"
    assert looks(["--env=KSMRUN_OCI=merge=off"], "ksmrun") == "ksm_merge_any: no\n"


def test_exec_asks_for_itself(podman: Podman) -> None:
    name = podman.start([], "sleep", "300")
    look = ("grep", "any", "/proc/self/ksm_stat")
    done = podman.call("exec", "--env=KSMRUN_OCI=merge=off", name, *look, runtime=None)
    assert done.stdout == "ksm_merge_any: no\n"


def test_commands_that_cannot_run(podman: Podman) -> None:
    """As without: 127 not found, 126 cannot be run."""
    real = podman.real
    for command, code in (("nothing", 127), ("/bin/unexecutable", 126)):
        assert podman.run([], command, runtime=real).returncode == code
        assert podman.run([], command).returncode == code
    name = podman.start([], "sleep", "300")
    assert podman.call("exec", name, "nothing", runtime=None).returncode == 127


def test_signals_reach_the_first_process(podman: Podman) -> None:
    text = "trap 'exit 9' TERM; while :; do sleep 0.05; done"
    for options in ([], ["--init"]):
        name = podman.start(options, "sh", "-c", text)
        podman.call("exec", name, "sh", "-c", "sleep 0.3", runtime=None)
        podman.call("stop", "--time=20", name)
        done = podman.call("inspect", "--format={{.State.ExitCode}}", name)
        assert done.stdout == "9\n"


def test_required_and_denied(podman: Podman, folder: Path) -> None:
    """A seccomp profile denies the call: one line and it starts, or it does not start."""
    profile = folder / "deny.json"
    profile.write_text(
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["prctl"], "action":'
        ' "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 67, "op": "SCMP_CMP_EQ"}]}]}'
    )
    deny = f"--security-opt=seccomp={profile}"
    done = podman.run([deny], *LOOK)
    assert (done.returncode, done.stdout) == (0, "ksm_merge_any: no\n")
    assert done.stderr.count("not merge") == 1
    assert podman.run([deny, "--annotation=ksmrun.require=true"], *LOOK).returncode == 125


USERS: dict[str, list[str]] = {
    "root": [],
    "read-only": ["--read-only"],
    "user": ["--user=1000"],
    "all dropped": ["--user=1000:1000", "--cap-drop=all", "--security-opt=no-new-privileges"],
    "user namespace": ["--uidmap=0:100000:65536"],
    "user in a user namespace": ["--uidmap=0:100000:65536", "--user=1000"],
}


def asks_for(group: str) -> list[str]:
    words = {"layout": "shared", "layout-group": group, "require": "true"}
    return [f"--annotation=ksmrun.{name}={value}" for name, value in words.items()]


@pytest.mark.parametrize("who", USERS)
def test_one_layout_for_a_group(podman: Podman, group: str, who: str) -> None:
    first = podman.run(asks_for(group), "where")
    done = podman.run([*asks_for(group), *USERS[who]], "where", "x")
    assert (first.returncode, done.returncode) == (0, 0), done
    assert parts(done.stdout) == parts(first.stdout)
    assert done.stderr.count("layout") == 0


def test_exec_has_the_layout_too(podman: Podman, group: str) -> None:
    where = parts(podman.run(asks_for(group), "where").stdout)
    name = podman.start([*asks_for(group), "--user=1000"], "sleep", "300")
    done = podman.call("exec", name, "where", runtime=None)
    assert (done.returncode, parts(done.stdout)) == (0, where), done.stderr
    # root reads no key of another's.
    done = podman.call("exec", "--user=0", name, "where", runtime=None)
    assert done.returncode == 0, done.stderr
    assert parts(done.stdout) != where


def build(podman: Podman, folder: Path, environment: str, annotations: list[str]) -> str:
    """Build an image that prints the launcher's folder, its merging, and its addresses."""
    say = "ls /dev/ksmrun; grep any /proc/1/ksm_stat; exec where"
    lines = ["FROM scratch", "COPY root /", f"ENV {environment}", f'CMD ["sh", "-c", "{say}"]']
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
    image = f"localhost/ko{uuid.uuid4().hex[:8]}"
    # From cached layers it would take the annotations too.
    words = [
        "build",
        "--no-cache",
        "--isolation=chroot",
        "--format=oci",
        *annotations,
        f"--tag={image}",
    ]
    done = podman.call(*words, str(folder), runtime=None)
    assert done.returncode == 0, done.stderr
    return image


def test_an_image_takes_no_group_s_key(
    podman: Podman, programs: Path, tmp_path: Path, group: str
) -> None:
    """Neither by its environment, nor by annotations, which Podman copies into the bundle."""
    make_root(tmp_path / "root", programs)
    words = f"layout=shared,layout-group={group}"
    asks = [f"--annotation=ksmrun.{word}" for word in (*words.split(","), "merge=on")]
    hostile = build(podman, tmp_path, f"KSMRUN_OCI=merge=on,{words}", asks)
    plain = build(podman, tmp_path, "A=B", [])

    def say(image: str, *options: str, runtime: str = "ksmrun") -> str:
        run_it = ("run", "--rm", "--network=none", *options, image)
        done = podman.call(*run_it, runtime=runtime)
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        assert "layout.key" in say(plain, *asks)
        assert say(plain, *asks).splitlines()[-1] == say(plain, *asks).splitlines()[-1]
        for runtime, merges_any in (("ksmrun", "yes"), ("ksmrun-by-request", "no")):
            text = say(hostile, runtime=runtime)
            assert f"ksm_merge_any: {merges_any}" in text
            assert "layout.key" not in text
        # Whoever starts it may name another group than the image does.
        other = say(hostile, "--annotation=ksmrun.layout-group=no-such-group")
        assert "layout.key" not in other
    finally:
        podman.call("rmi", "--force", hostile, plain, runtime=None)


def test_an_image_of_one_file(podman: Podman, programs: Path, tmp_path: Path) -> None:
    """FROM scratch: nothing is added to the image or to a container's layer."""
    tar = tmp_path / "image.tar"
    subprocess.run(["tar", "-C", programs, "-cf", tar, "hello_musl"], check=True)
    image = f"localhost/ko{uuid.uuid4().hex[:8]}"
    change = 'ENTRYPOINT ["/hello_musl"]'
    done = podman.call("import", f"--change={change}", str(tar), image, runtime=None)
    assert done.returncode == 0, done.stderr
    done = podman.call("run", "--name=one", "--network=none", image)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    # Podman itself leaves its mount points; the launcher's is in none of them.
    assert "ksmrun" not in podman.call("diff", "one").stdout
    done = podman.call("run", "--rm", "--network=none", "--entrypoint=/nothing", image)
    assert done.returncode == 127
    podman.call("rm", "one")
    podman.call("rmi", image)


def test_a_user_without_root(programs: Path, folder: Path, oci: Path, tmp_path: Path) -> None:
    let_all_in(tmp_path)
    home = tmp_path / "h"
    home.mkdir()
    (home / "c").write_text(configuration(oci))
    for path in (home, home / "c"):
        run("chown", "nobody", path)
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", f"HOME={home}"]
    words += [f"XDG_RUNTIME_DIR={home}", f"CONTAINERS_CONF={home}/c"]
    short = folder / "u"
    # Podman makes /etc/mtab in it.
    root = make_root(short / "root", programs)
    run("chown", "--recursive", "nobody", short)
    words += ["podman", f"--root={short}/s", f"--runroot={short}/r", "--storage-driver=vfs"]
    words += ["--runtime=ksmrun"]
    options = ["run", "--rm", "--network=none"]
    done = run(
        *words, *options, "--rootfs", str(root), "sh", "-c",
        "id -u; grep any /proc/1/ksm_stat; exit 6",
    )  # fmt: skip
    # The user's own groups have their keys in the user's own folder.
    key = home / "ksmrun/layout/units/own.key"
    key.parent.mkdir(parents=True)
    key.write_bytes(os.urandom(32))
    key.chmod(0o400)
    run("chown", "--recursive", "nobody", home / "ksmrun")
    shared = [
        run(*words, *options, *asks_for("own"), "--rootfs", str(root), "where") for _ in range(2)
    ]
    # It holds the user's namespaces for later commands, and outlives the last.
    pause = home / "libpod/tmp/pause.pid"
    if pause.exists():
        os.kill(int(pause.read_text()), signal.SIGKILL)
    assert (done.returncode, done.stdout) == (6, "0\nksm_merge_any: yes\n"), done.stderr
    assert [each.returncode for each in shared] == [0, 0], shared
    assert parts(shared[0].stdout) == parts(shared[1].stdout)
