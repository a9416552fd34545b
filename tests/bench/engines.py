"""Podman, Docker and containerd for containers.py, each with its own folder and one image."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ENGINES = ("podman", "docker", "containerd")
IMAGE = "localhost/ksmrun-bench:1"
CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4000:4000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
"""
DOCKERD = ("--storage-driver", "vfs", "--iptables=false", "--ip6tables=false", "--bridge=none")
READY_SECONDS = 60.0


@dataclass(frozen=True)
class Engine:
    """Engine: its command line tool, and the options that name its own daemon or store."""

    name: str
    tool: tuple[str, ...]
    environment: Mapping[str, str]

    def call(self, *words: str) -> str:
        """Return what it prints. Raises CalledProcessError."""
        done = subprocess.run(
            [*self.tool, *words],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=dict(self.environment),
        )
        return done.stdout.strip()

    @contextmanager
    def container(
        self, name: str, mounts: Mapping[str, str], command: Sequence[str]
    ) -> Iterator[int]:
        """Run a container in the background; yield its first process's PID on the host."""
        if self.name == "containerd":
            yield from self._task(name, mounts, command)
            return
        volumes = [f"--volume={source}:{target}:ro" for source, target in mounts.items()]
        options = ("--detach", "--name", name, "--network", "none")
        self.call("run", *options, *volumes, IMAGE, *command)
        try:
            yield int(self.call("inspect", "--format", "{{.State.Pid}}", name))
        finally:
            # Podman would first wait 10 seconds for a shell that ignores SIGTERM.
            self.call("kill", name)
            self.call("rm", "--force", name)

    def _task(self, name: str, mounts: Mapping[str, str], command: Sequence[str]) -> Iterator[int]:
        options = ["--detach", "--snapshotter", "native"]
        for source, target in mounts.items():
            options += ["--mount", f"type=bind,src={source},dst={target},options=rbind:ro"]
        self.call("run", *options, IMAGE, name, *command)
        try:
            lines = [line.split() for line in self.call("task", "ls").splitlines()]
            yield next(int(words[1]) for words in lines if words[0] == name)
        finally:
            self.call("task", "rm", "--force", name)
            self.call("container", "rm", name)


@contextmanager
def ready_engine(name: str, folder: Path) -> Iterator[Engine]:
    """Yield the engine with the image loaded, its daemon running if it has one."""
    place = folder / name
    place.mkdir()
    image = make_root(place / "root.tar")
    environment = dict(os.environ)
    if name == "podman":
        (place / "containers.conf").write_text(CONFIGURATION)
        environment["CONTAINERS_CONF"] = str(place / "containers.conf")
        store = ("--root", f"{place}/s", "--runroot", f"{place}/r", "--storage-driver", "vfs")
        engine = Engine(name, ("podman", *store), environment)
        engine.call("import", "--quiet", str(image), IMAGE)
        yield engine
        engine.call("rm", "--all", "--force")
    elif name == "docker":
        socket = f"unix://{place}/socket"
        engine = Engine(name, ("docker", "-H", socket), environment)
        ways = ("--data-root", f"{place}/d", "--exec-root", f"{place}/e", "-p", f"{place}/pid")
        with daemon(["dockerd", *DOCKERD, *ways, "-H", socket], engine, place):
            engine.call("import", str(image), IMAGE)
            yield engine
    else:
        engine = Engine(name, ("ctr", "--address", f"{place}/socket"), environment)
        ways = ("--root", f"{place}/d", "--state", f"{place}/t", "--address", f"{place}/socket")
        # Only podman can make an archive of an image without a daemon.
        store = ("--root", f"{place}/s", "--runroot", f"{place}/r", "--storage-driver", "vfs")
        podman = Engine("podman", ("podman", *store), environment)
        podman.call("import", "--quiet", str(image), IMAGE)
        podman.call("save", "--quiet", "--output", f"{place}/image.tar", IMAGE)
        with daemon(["containerd", *ways], engine, place):
            engine.call("images", "import", "--snapshotter", "native", f"{place}/image.tar")
            yield engine


@contextmanager
def daemon(command: Sequence[str], engine: Engine, folder: Path) -> Iterator[None]:
    """Run the daemon; the block begins once its tool reaches it."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while subprocess.run(
            [*engine.tool, "version"], capture_output=True, check=False
        ).returncode:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} does not start:\n{(folder / 'log').read_text()}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait()


def make_root(file: Path) -> Path:
    """Make a root with a shell; /usr is mounted from the host, with the links of a merged /usr."""
    root = file.with_suffix("")
    for name in ("usr", "ksmrun", "proc", "sys", "dev", "tmp", "etc", "root"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    if Path("/etc/ld.so.cache").exists():
        shutil.copy("/etc/ld.so.cache", root / "etc/ld.so.cache")
    with tarfile.open(file, "w") as archive:
        archive.add(root, arcname=".")
    return file
