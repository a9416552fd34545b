"""Container engines of their own for the tests: podman with runc, dockerd, containerd.

Everything runs in a mount namespace in which /usr/local/libexec is empty at first, so the launcher
can be put at the path that wraps name, without a trace on the host.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from compiled import compile_to
from waiting import LAST_RESORT_SECONDS, wait_until

KSMRUN = str(Path(sys.executable).with_name("ksmrun"))
PROGRAMS = Path(__file__).parent / "programs"
CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
PLACE = """
mkdir -p /usr/local/libexec && mount -t tmpfs -o mode=755 tmpfs /usr/local/libexec &&
    echo ready && exec cat
"""
DOCKERD = ("--storage-driver", "vfs", "--iptables=false", "--ip6tables=false", "--bridge=none")


@dataclass
class Place:
    """Place of commands: a mount namespace, a folder, and an environment that names the engines.

    folder: short, because podman allows 50 characters.
    """

    folder: Path
    holder: subprocess.Popen[str]
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    def command(self, words: tuple[str | Path, ...], cwd: Path | None = None) -> list[str]:
        """Return the command to run in place: it keeps the PID."""
        inside = [f"--mount=/proc/{self.holder.pid}/ns/mnt", f"--wdns={cwd or self.folder}"]
        return ["/usr/bin/nsenter", *inside, "--", *map(str, words)]

    def try_run(self, *words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, **options.pop("environment", {})}
        options = {"timeout": LAST_RESORT_SECONDS, "check": False, "env": environment, **options}
        command = self.command(words, options.pop("cwd", None))
        return subprocess.run(command, capture_output=True, text=True, **options)

    def run(self, *words: str | Path, **options: Any) -> str:
        """Return what it wrote to stdout; a failure shows all its output."""
        done = self.try_run(*words, **options)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def ksmrun(self, *words: str | Path, **options: Any) -> str:
        return self.run(KSMRUN, *words, **options)

    @contextlib.contextmanager
    def daemon(self, *words: str | Path, ready: tuple[str | Path, ...]) -> Iterator[int]:
        """Run a daemon in the background, from when `ready` succeeds; yield its PID."""
        with (self.folder / "daemon.log").open("w") as log:
            process = subprocess.Popen(
                self.command(words), stdout=log, stderr=log, env=self.environment
            )
        try:
            deadline = time.monotonic() + 60
            while self.try_run(*ready).returncode != 0:
                assert process.poll() is None, (self.folder / "daemon.log").read_text()
                assert time.monotonic() < deadline, "not ready in time"
                time.sleep(0.1)
            yield process.pid
        finally:
            process.terminate()
            process.wait(timeout=LAST_RESORT_SECONDS)


@dataclass(frozen=True)
class Engine:
    """podman or docker, which share one command line."""

    name: str
    place: Place

    def __call__(self, *words: str | Path, **options: Any) -> str:
        return self.place.run(self.name, *words, **options)

    def build(self, tag: str, dockerfile: str, files: dict[str, Path] | None = None) -> str:
        """Build an image of this Dockerfile; files are put beside it, under their names there."""
        with tempfile.TemporaryDirectory(dir=self.place.folder) as folder:
            for name, source in (files or {}).items():
                target = Path(folder) / name
                if source.is_dir():
                    shutil.copytree(source, target, symlinks=True)
                else:
                    shutil.copy(source, target)
            (Path(folder) / "Dockerfile").write_text(dockerfile)
            isolation = ["--isolation", "chroot"] if self.name == "podman" else []
            self("build", *isolation, "-t", tag, folder)
        return tag

    def run_report(self, *words: str | Path) -> dict[str, Any]:
        """Return what the helper `report` prints in a container."""
        text = self("run", "--rm", "--network", "none", *words)
        report: dict[str, Any] = json.loads(text)
        return report

    @contextlib.contextmanager
    def started(self, *words: str | Path) -> Iterator[str]:
        """Start a container that waits, and yield its ID once it has printed its line."""
        options = ("--detach", "--network", "none", "--env", "WAIT=1")
        container = self("run", *options, *words).strip()
        try:
            wait_until(lambda: "pid" in self("logs", container))
            yield container
        finally:
            self("rm", "--force", container)

    def pid(self, container: str) -> int:
        """Return the host's PID of its first process."""
        return int(self("inspect", "--format", "{{.State.Pid}}", container))


def remove_pods(podman: Engine) -> None:
    """Podman 4.3 may fail to stop a pod that is just ending; the next attempt finds it gone."""
    remove = ("podman", "pod", "rm", "--all", "--force", "--time", "0")
    wait_until(lambda: podman.place.try_run(*remove).returncode == 0)


def merges(pid: int) -> bool:
    """Return whether it merges (Documentation/filesystems/proc.rst, ksm_stat)."""
    return "ksm_merge_any: yes" in Path(f"/proc/{pid}/ksm_stat").read_text()


def copy_program(program: str, root: Path) -> None:
    """Copy a program with the libraries that it is linked with."""
    target = root / program.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(program, target)
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    for word in done.stdout.split():
        if word.startswith("/"):
            place = root / word.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(word, place)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a root with busybox, the helper (`report` dynamic, `report-static`), and inits."""
    folder = tmp_path_factory.mktemp("root")
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "run"):
        (folder / name).mkdir()
    (folder / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nother:x:1000:1000::/:/bin/sh\n")
    shutil.copy("/bin/busybox", folder / "bin/busybox")
    for name in ("sh", "sleep", "cat", "cp", "env", "true"):
        (folder / "bin" / name).symlink_to("busybox")
    for name, options in (("report", []), ("report-static", ["-static"])):
        compile_to(folder / "bin" / name, ["gcc", "-O1", *options, PROGRAMS / "report.c"])
    copy_program(str(folder / "bin/report"), folder)
    for program in ("/usr/bin/tini", "/usr/bin/dumb-init", "/usr/bin/catatonit"):
        copy_program(program, folder)
    return folder


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Make a place with the launcher, by `ksmrun wrap install`."""
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", PLACE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None and holder.stdout.readline() == "ready\n"
    try:
        with tempfile.TemporaryDirectory(dir="/tmp", prefix="kc") as short:
            place = Place(Path(short), holder)
            conf, storage = place.folder / "containers.conf", place.folder / "storage.conf"
            conf.write_text(CONTAINERS_CONF)
            storage.write_text(
                f'[storage]\ndriver = "vfs"\ngraphroot = "{short}/p"\nrunroot = "{short}/r"\n'
            )
            place.environment |= {
                "CONTAINERS_CONF": str(conf),
                "CONTAINERS_STORAGE_CONF": str(storage),
                "DOCKER_HOST": f"unix://{short}/docker.sock",
                "DOCKER_BUILDKIT": "0",
                "DOCKER_CONFIG": f"{short}/docker-config",
            }
            (place.folder / "docker-config").mkdir()
            (place.folder / "docker-config/config.json").write_text("{}")
            place.ksmrun("wrap", "install")
            yield place
    finally:
        # The empty folder below stays: removing it would unmount what others have there (rmdir(2)
        # detaches the mounts of other namespaces).
        holder.communicate()


@pytest.fixture(scope="module")
def podman(place: Place) -> Iterator[Engine]:
    engine = Engine("podman", place)
    yield engine
    engine("rm", "--all", "--force")


@pytest.fixture(scope="module")
def docker(place: Place) -> Iterator[Engine]:
    with dockerd(place):
        yield Engine("docker", place)


@contextlib.contextmanager
def dockerd(place: Place, *before: str | Path, name: str = "docker") -> Iterator[int]:
    """Start a daemon that keeps all its files in the place; before: prefix of its command."""
    folder = place.folder / name
    ways = ("--data-root", folder / "data", "--exec-root", folder / "exec", "-p", folder / "pid")
    socket = f"unix://{place.folder}/{name}.sock"
    ready = ("docker", "-H", socket, "version")
    command = (*before, "dockerd", *DOCKERD, *ways, "-H", socket)
    with place.daemon(*command, ready=ready) as pid:
        yield pid


@pytest.fixture(scope="module", params=["podman", "docker"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Run each test that uses it once for each engine."""
    found: Engine = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def base(engine: Engine, root: Path) -> str:
    """Build an image with the root, and neither entrypoint nor command."""
    return engine.build("base", "FROM scratch\nCOPY root/ /\n", {"root": root})
