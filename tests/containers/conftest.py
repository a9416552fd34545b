"""Container engines and runtimes, with ksmrun-oci as the runtime or without it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from compiled import compile_to
from waiting import LAST_RESORT_SECONDS, wait_until

from ksmrun.facts.launcher import launcher_path
from ksmrun.host.trust_state import claiming, write_trust_state
from ksmrun.model.container import RuntimeEngine as Engine
from ksmrun.model.trust import TRUST_FOLDER
from ksmrun.model.wrap import LIBEXEC

PROGRAMS = Path(__file__).parent.parent / "integration/programs"
APPLETS = ("sh", "cat", "echo", "env", "grep", "id", "ls", "sleep", "stty", "test", "true", "tty")
Done = subprocess.CompletedProcess[str]
Claim = Callable[[str | None], None]


def run(*command: str | Path, **options: Any) -> Done:
    """Return its output as text, whatever its exit code is."""
    options.setdefault("timeout", LAST_RESORT_SECONDS)
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def merges(pid: int) -> bool:
    """Return the kernel's view of a process, from outside its container."""
    # Before that it is the runtime (runc:[2:INIT], crun, its "3" or "exe"), then the launcher.
    comm = Path(f"/proc/{pid}/comm")
    programs = ("sleep", "docker-init", "podman-init", "init")
    wait_until(lambda: comm.read_text().strip() in programs, comm.read_text())
    return "ksm_merge_any: yes" in Path(f"/proc/{pid}/ksm_stat").read_text()


def find_process(word: str) -> int:
    """Return the host's PID of a process whose last argument is this word."""
    found: list[int] = []

    def is_there() -> bool:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                # For others it may not be text.
                name = (folder / "comm").read_bytes().strip()
            except OSError:
                continue
            if words[-2:-1] == [word.encode()] and name == b"sleep":
                found.append(int(folder.name))
        return bool(found)

    wait_until(is_there, f"no process sleeps {word}")
    return found[0]


def seen_by_ps(pid: int) -> dict[str, Any]:
    """Return the line of `ksmrun ps` for a merging process."""
    done = run(Path(sys.executable).with_name("ksmrun"), "ps", "--json", "--by", "container")
    found = json.loads(done.stdout)
    (process,) = [process for process in found["processes"] if process["pid"] == pid]
    assert [f"{process['container']} ({process['engine']})"] == [
        row["name"] for row in found["groups"] if pid in row["pids"]
    ]
    return dict(process)


@pytest.fixture
def claim() -> Iterator[Claim]:
    """Write the state as a claim does; afterwards it is not there, as before."""
    assert not TRUST_FOLDER.exists(), "another test, or this host, has trust domains"

    def write(domain: str | None) -> None:
        with claiming():
            write_trust_state(domain)

    yield write
    for name in ("state", "lock"):
        (TRUST_FOLDER / name).unlink(missing_ok=True)
    if TRUST_FOLDER.exists():
        TRUST_FOLDER.rmdir()


@pytest.fixture
def seconds() -> str:
    """Return an argument for sleep that no other process has."""
    return f"300.{uuid.uuid4().int % 10**12}"


@pytest.fixture(scope="module", autouse=True)
def visible_sysfs() -> Iterator[None]:
    """Take away what makes KSM read-only, if it is (common/inside.sh).

    A user namespace may mount sysfs only where all of the present one is visible (fs/namespace.c:
    mount_too_revealing).
    """
    folder = "/sys/kernel/mm/ksm"
    is_covered = run("mountpoint", "-q", folder).returncode == 0
    if is_covered:
        subprocess.run(["umount", "--lazy", folder], check=True)
    yield
    if is_covered:
        subprocess.run(["mount", "--bind", "-o", "ro", folder, folder], check=True)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Return a folder that every user can reach, with a name as short as podman requires."""
    with tempfile.TemporaryDirectory(prefix="ko-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def oci(folder: Path) -> Path:
    """Put ksmrun-oci beside the launcher, as `ksmrun wrap install` does."""
    place = folder / "libexec"
    place.mkdir()
    built = os.environ.get("KSMRUN_TEST_OCI") or launcher_path().with_name("ksmrun-oci")
    shutil.copytree(launcher_path().parent, place, dirs_exist_ok=True)
    shutil.copy(built, place / "ksmrun-oci")
    for end in ("-by-request", "-crun", "-crun-by-request"):
        (place / f"ksmrun-oci{end}").symlink_to("ksmrun-oci")
    return place / "ksmrun-oci"


@pytest.fixture(scope="session")
def programs(folder: Path) -> Path:
    """Return static programs, which need nothing of an image."""
    place = folder / "programs"
    place.mkdir()
    for name, compiler in {"where": ["gcc", "-static-pie"], "deny": ["gcc", "-static"]}.items():
        compile_to(place / name, [*compiler, "-O1", PROGRAMS / f"{name}.c"])
    (place / "hello.c").write_text('#include <stdio.h>\nint main(void){return puts("hello")<0;}\n')
    # Another machine than the launcher's, and another libc than the host's.
    m32 = ["gcc-12", "-m32", "-I/usr/include/x86_64-linux-gnu", "-static"]
    for name, compiler in {"hello32": m32, "hello_musl": ["musl-gcc", "-static"]}.items():
        compile_to(place / name, [*compiler, place / "hello.c"])
    return place


def make_root(root: Path, programs: Path) -> Path:
    """Make a root with a shell and few commands; world-readable, as an image's is."""
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "run"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    for program in ("where", "hello32", "hello_musl"):
        shutil.copy(programs / program, root / "bin" / program)
    (root / "bin/unexecutable").write_text("nothing")
    return root


@pytest.fixture(scope="session")
def root(folder: Path, programs: Path) -> Path:
    return make_root(folder / "root", programs)


def tree(folder: Path) -> list[str]:
    """Return the content of a folder, to see whether anything was left."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@contextmanager
def group_with_key() -> Iterator[str]:
    """Make a group of the shared layout, with its key at the place that services use too."""
    name = f"ksmrun-test-{uuid.uuid4().hex[:8]}"
    units = Path("/run/ksmrun/layout/units")
    made = [place for place in (units, *units.parents[:2]) if not place.exists()]
    units.mkdir(parents=True, exist_ok=True)
    key = units / f"{name}.key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o400)
    try:
        yield name
    finally:
        key.unlink()
        for place in made:
            # Another test's may be there by now.
            with suppress(OSError):
                place.rmdir()


@pytest.fixture
def group() -> Iterator[str]:
    with group_with_key() as name:
        yield name


@pytest.fixture(scope="session")
def private_cgroups() -> list[str]:
    """Return a prefix that hides one kind of cgroup: crun rejects a host with both kinds."""
    script = 'umount /sys/fs/cgroup/unified && exec "$@"'
    hybrid = Path("/sys/fs/cgroup/unified").is_mount()
    return ["unshare", "-m", "sh", "-c", script, "hide"] if hybrid else []


def parts(text: str) -> tuple[int, ...]:
    """Return the addresses that `where` prints."""
    found = json.loads(text)
    return tuple(found[part] for part in ("program", "local", "mmap", "brk", "vdso"))


def printed(engine: Engine, oci: Path, *options: str) -> str:
    """Return an engine's configuration, with the path of the test's own ksmrun-oci."""
    ksmrun = Path(sys.executable).with_name("ksmrun")
    done = run(ksmrun, "wrap", "runtime", engine, *options)
    assert done.returncode == 0, done.stderr
    assert str(LIBEXEC) in done.stdout
    return done.stdout.replace(str(LIBEXEC), str(oci.parent))


@contextmanager
def daemon(command: list[str | Path], log: Path, is_ready: Callable[[], bool]) -> Iterator[None]:
    """Run a daemon until the end of the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_ready() or process.poll() is not None, "not ready in time")
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(timeout=LAST_RESORT_SECONDS)
