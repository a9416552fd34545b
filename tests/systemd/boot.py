"""Booted guest: systemd as PID 1 of a container, over a root that does not change.

Guests share the kernel, and so its KSM. They die with the process that started them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from waiting import LAST_RESORT_SECONDS

import ksmrun

from .packages import packages

PR_SET_PDEATHSIG = 1
BOOT_SECONDS = 120.0
# Of the two hierarchies of a hybrid host; a host with one has only the second line.
HIERARCHIES = (Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"))
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# ksmrun as it is installed here; Python's own cache, because the packages are read-only.
COMMANDS = {
    "ksmrun": """#!/bin/sh
export PYTHONPATH=/opt/ksmrun:/opt/packages PYTHONPYCACHEPREFIX=/var/cache/ksmrun-pyc
exec python3 /usr/local/bin/ksmrun-py "$@"
""",
    "ksmrun-py": "from ksmrun.__main__ import main\nmain()\n",
}
START = """
for hierarchy in "$@"; do
    mkdir -p "$hierarchy/$NAME" && echo 0 >"$hierarchy/$NAME/cgroup.procs" || exit
done
# Nothing is synced to disk, which a loaded one takes long for; the mark says so to the next mount.
rm -rf work/work/incompat
mount -t overlay -o "volatile,lowerdir=$LOWER,upperdir=upper,workdir=work" overlay merged || exit
exec systemd-nspawn --quiet --boot --directory=merged --register=no --keep-unit --console=pipe \
    --notify-ready=yes --private-network --resolv-conf=off --hostname=guest --machine="$NAME" \
    --bind-ro="$INSTALLED:/opt/ksmrun/ksmrun" --bind-ro="$PACKAGES:/opt/packages" \
    --bind="$PWD/shared:/shared" $OPTIONS
"""
# systemd-nspawn is PID 1 of a namespace around the guest's, so that nothing outlives it.
UNSHARE = (
    *("unshare", "--mount", "--propagation=slave", "--pid", "--fork", "--kill-child=KILL"),
    *("--mount-proc", "sh", "-c"),
)


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def is_init(pid: int) -> bool:
    """Return whether it is PID 1 of its namespace."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    return any(line.startswith("NSpid:") and line.endswith("\t1") for line in status.splitlines())


def hierarchies() -> list[Path]:
    return [path for path in HIERARCHIES if path.is_dir()] or [Path("/sys/fs/cgroup")]


@dataclass
class Guest:
    """Guest; `folder` holds all its changes, also for a later boot over the same folder."""

    version: int
    lower: Path
    folder: Path
    # PID of systemd-nspawn.
    options: tuple[str, ...] = ()
    name: str = field(init=False)
    leader: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.name = f"ksmrun-guest-{os.getpid()}-{self.version}-{os.urandom(3).hex()}"
        for name in ("upper", "work", "merged", "shared"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        commands = self.folder / "upper/usr/local/bin"
        commands.mkdir(parents=True, exist_ok=True)
        for name, text in COMMANDS.items():
            (commands / name).write_text(text)
            (commands / name).chmod(0o755)
        (self.folder / "shared").chmod(0o1777)
        # No name server, so that nothing waits for one.
        etc = self.folder / "upper/etc"
        (etc / "systemd/system-generators").mkdir(parents=True, exist_ok=True)
        (etc / "resolv.conf").touch()
        # systemd.generator(7): masked. They have nothing to do in a container, and take as much CPU
        # as the rest of each daemon-reload.
        for generator in (self.lower / "usr/lib/systemd/system-generators").glob("systemd-*"):
            mask = etc / "systemd/system-generators" / generator.name
            if not mask.is_symlink():
                mask.symlink_to("/dev/null")

    @property
    def shared(self) -> Path:
        """Folder that is /shared inside, for all."""
        return self.folder / "shared"

    @property
    def root(self) -> Path:
        """Root of the guest, as seen from outside."""
        return Path(f"/proc/{self.leader}/root")

    def boot(self) -> None:
        """Boot; return when it has reached its default target."""
        sweep()
        log = (self.folder / "console.log").open("ab")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            address = self.folder / "notify"
            address.unlink(missing_ok=True)
            ready.bind(str(address))
            ready.settimeout(BOOT_SECONDS)
            environment = {
                "PATH": PATH,
                "NOTIFY_SOCKET": str(address),
                "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                "NAME": self.name,
                "LOWER": str(self.lower),
                "INSTALLED": str(Path(ksmrun.__file__).parent),
                "PACKAGES": str(packages(self.lower)),
                "OPTIONS": " ".join(self.options),
            }
            self.process = subprocess.Popen(
                [*UNSHARE, START, "guest", *map(str, hierarchies())],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
            log.close()
            self._wait(ready)

    def _wait(self, ready: socket.socket) -> None:
        told: dict[str, str] = {}
        ready.settimeout(1)
        deadline = time.monotonic() + BOOT_SECONDS
        while told.get("READY") != "1":
            with contextlib.suppress(TimeoutError):
                pairs = (line.partition("=") for line in ready.recv(4096).decode().splitlines())
                told.update({name: value for name, _, value in pairs})
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                text = (self.folder / "console.log").read_text(errors="replace")
                raise AssertionError(f"systemd {self.version} did not boot:\n{text[-3000:]}")
        processes = hierarchies()[-1] / self.name / "payload/init.scope/cgroup.procs"
        # What it has forked may still be beside it.
        (self.leader,) = (pid for pid in map(int, processes.read_text().split()) if is_init(pid))

    def start(
        self,
        *command: str,
        user: int = 0,
        text: str = "",
        environment: dict[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start a command inside, as a user whose runtime folder has their name."""
        home = "/root" if user == 0 else f"/home/user{user}"
        inside = {"PATH": PATH, "HOME": home, "LC_ALL": "C.UTF-8", **(environment or {})}
        if user:
            inside["XDG_RUNTIME_DIR"] = f"/run/user/{user}"
        variables = [f"{name}={value}" for name, value in inside.items()]
        scope = hierarchies()[-1] / self.name / "payload/init.scope/cgroup.procs"
        into_scope = ["sh", "-c", 'echo 0 >"$0"; exec "$@"', str(scope)]
        nsenter = ["nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--net"]
        nsenter += ["--pid", "--cgroup", "--root", f"--wd=/proc/{self.leader}/root"]
        user_options = [f"--setuid={user}", f"--setgid={user}"] if user else []
        process = subprocess.Popen(
            [*into_scope, *nsenter, *user_options, "env", "-i", *variables, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )
        if text:
            assert process.stdin is not None
            process.stdin.write(text)
        return process

    def run(
        self,
        *command: str,
        check: bool = True,
        user: int = 0,
        text: str = "",
        timeout: float = 90,
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside; if it fails, both its outputs are in the error."""
        process = self.start(*command, user=user, text=text, environment=environment)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"{command} takes more than {timeout} s\n{out}\n{err}") from None
        assert not check or process.returncode == 0, (
            f"{command}: {process.returncode}\n{out}\n{err}"
        )
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def cgroup(self, unit: str) -> Path:
        """Return the cgroup of a running unit; or that of this path, as the guest names it."""
        path = unit
        if not unit.startswith("/"):
            shown = self.run("systemctl", "show", "--property=ControlGroup", "--value", "--", unit)
            path = shown.stdout.strip()
        assert path, f"{unit} has no cgroup"
        return hierarchies()[-1] / self.name / "payload" / path.lstrip("/")

    def pids(self, unit: str) -> list[int]:
        """Return the host's PIDs of all its processes."""
        files = self.cgroup(unit).rglob("cgroup.procs")
        return [int(word) for file in files for word in file.read_text().split()]

    def stop(self) -> None:
        """Shut it down."""
        threads = Path("/proc", str(self.process.pid), "task")
        (nspawn,) = (threads / str(self.process.pid) / "children").read_text().split()
        os.kill(int(nspawn), signal.SIGTERM)
        try:
            self.process.wait(LAST_RESORT_SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill it, as a power failure does."""
        self.process.kill()
        self.process.wait()
        forget(self.name)


def forget(name: str, seconds: float = 10) -> None:
    """Remove the cgroups of a guest that is gone, and systemd-nspawn's folder for it."""
    deadline = time.monotonic() + seconds
    for hierarchy in hierarchies():
        while (hierarchy / name).exists():
            folders = [Path(top) for top, _, _ in os.walk(hierarchy / name, topdown=False)]
            # Busy until the last process is gone.
            with contextlib.suppress(OSError):
                for folder in folders:
                    folder.rmdir()
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
    shutil.rmtree(Path("/run/systemd/nspawn/propagate", name), ignore_errors=True)


def sweep() -> None:
    """Clean up after guests whose tests were killed."""
    for folder in hierarchies()[-1].glob("ksmrun-guest-*"):
        if not Path("/proc", folder.name.split("-")[2]).exists():
            forget(folder.name, 0)
