"""Real programs, the installed launcher, and the host's one KSM."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from compiled import compile_to
from folders import let_all_in
from ksm_at_boot import KSM
from waiting import LAST_RESORT_SECONDS, wait_until

from ksmrun.facts.launcher import launcher_path
from ksmrun.host.temporary_tunables import borrowed

See = Callable[..., dict[str, Any]]
Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[bytes]]
SOURCES = Path(__file__).parent / "programs"
# With smart_scan two equal copies may never be scanned in the same full scan.
FASTEST = {"run": "1", "sleep_millisecs": "0", "pages_to_scan": "1000000", "smart_scan": "0"}


@dataclass(frozen=True)
class Programs:
    """Helper programs, built once."""

    folder: Path

    def __getattr__(self, name: str) -> str:
        return str(self.folder / name)


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    folder = let_all_in(tmp_path_factory.mktemp("programs"))
    for name in ("see", "flag", "deny", "lose", "sweep"):
        for suffix, options in (("", []), ("_static", ["-static"])):
            compile_to(folder / f"{name}{suffix}", ["gcc", "-O1", *options, SOURCES / f"{name}.c"])
    for name in ("flag", "lose", "sweep"):
        # The kernel's headers, which musl does not have.
        headers = ["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"]
        compile_to(folder / f"{name}_musl", ["musl-gcc", *headers, SOURCES / f"{name}.c"])
    # Debian's gcc-multilib and its cross compilers exclude each other; this is multilib's part.
    m32 = ["gcc-12", "-m32", "-I/usr/include/x86_64-linux-gnu"]
    for name in ("flag", "sweep"):
        compile_to(folder / f"{name}_32", [*m32, SOURCES / f"{name}.c"])
    return Programs(folder)


@pytest.fixture(scope="session")
def launcher() -> str:
    """Return the installed launcher, or in a second round the one built with sanitizers."""
    return os.environ.get("KSMRUN_TEST_LAUNCHER") or str(launcher_path())


@pytest.fixture(scope="session")
def ksmrun() -> str:
    # As messages name it: without the ".." of a relative call.
    return str(Path(sys.executable).parent.resolve() / "ksmrun")


@pytest.fixture(scope="session", params=["ksmrun-exec", "ksmrun run", "planned"])
def way(request: pytest.FixtureRequest, launcher: str, ksmrun: str) -> tuple[str, ...]:
    """Return each of the ways to launch; a test that uses it runs once for each.

    "planned": by Python, which an option that is the default as well asks for.
    """
    # Probe and plan of this boot are cached: the first launch of a boot is tested elsewhere.
    subprocess.run([ksmrun, "run", "--quiet", "--", "true"], check=True)
    planned = ("--guard=skip",) if request.param == "planned" else ()
    return (launcher,) if request.param == "ksmrun-exec" else (ksmrun, "run", *planned)


@pytest.fixture
def nobody(tmp_path: Path) -> tuple[str, ...]:
    """Return a prefix that gives up root, except one capability: Python may be in root's home."""
    let_all_in(tmp_path).chmod(0o777)
    read_all = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *read_all)


# Once with the capability, to import everything that may be out of reach; then without.
PS = """
import contextlib, io, prctl, sys
from ksmrun.cli import run_app
with contextlib.redirect_stdout(io.StringIO()):
    run_app(["ps"])
prctl.cap_effective.dac_read_search = False
sys.exit(run_app(["ps"]))
"""


@pytest.fixture
def ps_of_nobody(nobody: tuple[str, ...]) -> tuple[str, ...]:
    """Run `ksmrun ps` as a user who may only read their own processes."""
    return (*nobody, sys.executable, "-c", PS)


@pytest.fixture
def ksm_on(tmp_path: Path) -> Iterator[None]:
    """Switch KSM on, at its fastest."""
    with borrowed(FASTEST, tmp_path):
        yield


@dataclass(frozen=True)
class Group:
    """Cgroup of a test, in whichever version has the memory controller."""

    folder: Path
    file: str

    def take(self, pid: int) -> None:
        (self.folder / "cgroup.procs").write_text(str(pid))

    def limit(self, size_bytes: int) -> None:
        (self.folder / self.file).write_text(str(size_bytes))


@pytest.fixture
def group() -> Iterator[Group]:
    is_v1 = Path("/sys/fs/cgroup/memory").is_dir()
    mount = Path("/sys/fs/cgroup/memory" if is_v1 else "/sys/fs/cgroup")
    own = next(
        line.split(":", 2)[2]
        for line in Path("/proc/self/cgroup").read_text().splitlines()
        if ("memory" in line.split(":")[1].split(",") if is_v1 else line.startswith("0::"))
    )
    folder = mount / own.lstrip("/") / f"ksmrun-test-{os.getpid()}"
    folder.mkdir()
    yield Group(folder, "memory.limit_in_bytes" if is_v1 else "memory.max")
    with contextlib.suppress(OSError):
        folder.rmdir()


@pytest.fixture
def see(programs: Programs, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Start the helper `see` behind a prefix and return what it saw."""
    number = 0

    def start(
        prefix: Sequence[str | bytes] = (),
        *,
        arguments: Sequence[str | bytes] = (),
        program: str | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        nonlocal number
        number += 1
        output = tmp_path / f"seen-{number}.json"
        command = [*prefix, program or programs.see, str(output), *arguments]
        options.setdefault("stderr", subprocess.DEVNULL)
        process = subprocess.Popen(command, **options)
        assert process.wait(timeout=LAST_RESORT_SECONDS) == 0, command
        seen: dict[str, Any] = json.loads(output.read_text())
        assert seen["pid"] == process.pid, "not started in place"
        assert seen["ppid"] == os.getpid()
        return seen

    return start


def reachable(launcher: str, folder: Path) -> str:
    """Return a copy that users without root can start."""
    copy = folder / "ksmrun-exec"
    shutil.copy(launcher, copy)
    return str(copy)


def value(name: str) -> str:
    return (KSM / name).read_text().strip()


def start_equal_programs(
    launcher: str, count: int, mib: int = 8, command: Sequence[str] = (), code: str = ""
) -> list[subprocess.Popen[bytes]]:
    """Start programs that hold the same bytes, and wait until they are ready."""
    code = code or (
        "import random, sys\nrandom.seed(1)\n"
        f"data = random.randbytes({mib} << 20)\n"
        "print('ready', flush=True)\nsys.stdin.read()"
    )
    programs = [
        subprocess.Popen(
            [*(command or (launcher, "--quiet", "--")), sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(count)
    ]
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
    return programs


def stop(programs: list[subprocess.Popen[bytes]]) -> None:
    for program in programs:
        program.communicate()


@pytest.fixture
def run(ksmrun: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run ksmrun with a state folder of its own, and restore KSM afterwards."""
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(tmp_path / "state"))

    def start(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [ksmrun, *arguments]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=LAST_RESORT_SECONDS,
            check=False,
            **options,
        )
        assert "Traceback" not in done.stderr
        # Where tests run beside others; many ignore the result.
        sets_ksm = re.search("mm/ksm/[a-z_]+ is read-only", done.stderr)
        assert sets_ksm is None, "mark this test host_ksm"
        return done

    yield start
    if (tmp_path / "state").exists():
        start("host", "restore", "--force")


@pytest.fixture
def start(launcher: str) -> Iterator[Start]:
    """Start a program merged, or with the given prefix; all end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*command: str, prefix: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        line = [*prefix, *([] if prefix else [launcher, "--quiet", "--"]), *command]
        started.append(
            subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        )
        # The kernel's name is 15 bytes of the file's (PR_SET_NAME(2const)).
        name = Path(command[0]).name[:15]
        comm = Path(f"/proc/{started[-1].pid}/comm")
        wait_until(lambda: comm.read_text() == f"{name}\n", f"{line} has become {name}")
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()
