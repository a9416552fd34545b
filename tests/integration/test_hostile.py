"""Root's commands beside programs of a user who wants them to hang, to open files or to show text.

Nothing here needs KSM to be on, or changes it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.own_pids

SOURCES = Path(__file__).parent / "programs"
KSMRUN = str(Path(sys.executable).with_name("ksmrun"))
# Last resort: a hang lasts for ever.
SECONDS = 40.0
# No hostile program may delay a command by more than this. What the command takes without one is
# measured here too, as the machine may be busy; and of several tries one is in time, since a delay
# that a program causes is there each time.
DELAY_SECONDS_MAX, BUSY_FACTOR, TRIES = 2.0, 2.0, 4
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
Words = tuple[str, ...]
ODD_NAME = "x\n\x1b]0;\x07\x9b\u202e"
# What `host unmerge`, `detach` and `wrap unit --check` read, without the change that follows.
FITS = """
from pathlib import Path
from ksmrun.facts.cgroup import members
from ksmrun.host.unmerge_safety import check_fits, check_unmerge_fits
from ksmrun.host.other_tuners import running_tuners
import sys
members("/a.service"), check_unmerge_fits(Path("/")), running_tuners()
check_fits({int(sys.argv[1]): 1}, Path("/"))
"""
LOOKS: tuple[Words, ...] = (
    ("ps",),
    ("ps", "--json"),
    ("top", "--once"),
    ("top", "--json"),
    ("status",),
    ("explain", "--seconds=0.1", "PID"),
    ("explain", "--seconds=0.1", "--json", "PID"),
    ("estimate", "PID"),
    ("estimate", "--match", "hostile", "--json"),
    ("fits", "PID"),
)
# Runs each command line of a JSON list in a session of its own, with its output in files named by
# its number; prints the exit codes and the times. The imports are made once for all of them.
LOOKER = """
import json, os, sys, time
from ksmrun.cli import run_app
from ksmrun.commands import estimate, explain, ps, status, top
def run(words):
    if words[0] != "fits":
        return run_app(words)
    sys.argv[1:] = words[1:]
    exec(FITS, {})
    return 0
def look(number, words):
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            # A terminal that it opened would become the controlling one.
            os.setsid()
            for descriptor in (1, 2):
                file = os.open(f"{number}.{descriptor}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(file, descriptor)
            code = run(words)
            sys.stdout.flush()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            code = 1
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, time.monotonic() - started
print(json.dumps([look(*each) for each in enumerate(json.loads(sys.argv[1]))]))
""".replace("FITS", repr(FITS))
KEYS = """
import sys
from pathlib import Path
from ksmrun.facts.maps import running_key
for _ in range(3000):
    running_key(Path("/proc") / sys.argv[1], "/x")
"""

Begin = Callable[..., subprocess.Popen[bytes]]
LookAtAll = Callable[[int], list["Looked"]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    for source in SOURCES.glob("hostile_*.c"):
        target = str(folder / source.stem)
        line = ["gcc", "-O1", "-pthread", "-o", target, str(source)]
        subprocess.run(line, check=True)
    return folder


@pytest.fixture
def begin(built: Path, tmp_path: Path) -> Iterator[Begin]:
    """Start one as nobody, in its own folder; read "ready" and whatever follows."""
    running: list[subprocess.Popen[bytes]] = []

    def start(name: str, *words: str) -> subprocess.Popen[bytes]:
        folder = Path(tempfile.mkdtemp(prefix=f"{tmp_path.name}-", dir="/tmp"))
        folder.chmod(0o777)
        folders.append(folder)
        line = [*NOBODY, str(built / name), *(word.replace("HERE", str(folder)) for word in words)]
        process = subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            pytest.skip(f"{name}: this kernel lets no user do that")
        return process

    folders: list[Path] = []
    yield start
    for process in running:
        process.kill()
        process.communicate()
    for folder in folders:
        shutil.rmtree(folder)


def said(process: subprocess.Popen[bytes]) -> bytes:
    """Return what it has printed so far."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    return process.stdout.read() or b""


def look(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command as root. A terminal that it opened would become the controlling one."""
    done = subprocess.run(
        [*words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=SECONDS,
        check=False,
        start_new_session=True,
        env={**os.environ, "KSMRUN_STATE_DIR": str(tmp_path / "state")},
    )
    assert b"Traceback" not in done.stderr, done.stderr
    return done


def watched(tmp_path: Path, samples: int = 4) -> str:
    """Run a monitor for this many samples; check that it ends normally, and return its log."""
    folder, log = tmp_path / "metrics", tmp_path / "log"
    folder.mkdir(exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [KSMRUN, "monitor", "--interval=0.2", f"--textfile={folder}"],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "KSMRUN_STATE_DIR": str(tmp_path / "state")},
        )
    try:
        written: set[int] = set()
        deadline = time.monotonic() + SECONDS
        while len(written) < samples:
            assert time.monotonic() < deadline and process.poll() is None, log.read_text()
            file = folder / "ksmrun.prom"
            written |= {file.stat().st_mtime_ns} if file.exists() else set()
            time.sleep(0.02)
        text = file.read_text()
        assert file.stat().st_mode & 0o777 == 0o644, "node_exporter is another user"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=SECONDS) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text()
    return text


@dataclass(frozen=True)
class Looked:
    """What a command printed, its exit code, and the seconds that it took."""

    words: Words
    code: int
    output: bytes
    error: bytes
    seconds: float


def looked(tmp_path: Path, looks: Sequence[Words], pid: int) -> list[Looked]:
    """Run commands one after the other as root, each in a process of its own."""
    folder = tmp_path / "looked"
    folder.mkdir(exist_ok=True)
    lines = [[str(pid) if word == "PID" else word for word in words] for words in looks]
    done = subprocess.run(
        [sys.executable, "-c", LOOKER, json.dumps(lines)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=SECONDS * len(looks),
        check=True,
        cwd=folder,
        env={**os.environ, "KSMRUN_STATE_DIR": str(tmp_path / "state")},
    )
    found = []
    for number, (words, (code, seconds)) in enumerate(
        zip(looks, json.loads(done.stdout), strict=True)
    ):
        output, error = ((folder / f"{number}.{each}").read_bytes() for each in (1, 2))
        assert b"Traceback" not in error, error
        found.append(Looked(words, code, output, error, seconds))
    return found


@pytest.fixture(scope="module")
def normal_seconds(tmp_path_factory: pytest.TempPathFactory) -> dict[Words, float]:
    """Return what each command takes beside a harmless program."""
    folder = tmp_path_factory.mktemp("normal")
    with subprocess.Popen(["sleep", "1000"]) as other:
        rounds = [looked(folder, LOOKS, other.pid) for _ in range(2)]
        other.kill()
    return {each[0].words: max(one.seconds for one in each) for each in zip(*rounds, strict=True)}


@pytest.fixture
def look_at_all(tmp_path: Path, normal_seconds: dict[Words, float]) -> LookAtAll:
    """Run each command beside this process, and a monitor; none of them may be delayed."""

    def looked_at_all(pid: int) -> list[Looked]:
        found: dict[Words, Looked] = {}
        took: dict[Words, list[float]] = {words: [] for words in LOOKS}
        for _ in range(TRIES):
            for each in looked(tmp_path, list(took), pid):
                took[each.words].append(each.seconds)
                if each.seconds <= BUSY_FACTOR * normal_seconds[each.words] + DELAY_SECONDS_MAX:
                    found[each.words] = each
                    del took[each.words]
            if not took:
                break
        assert not took, f"seconds, and without the program: {took}, {normal_seconds}"
        for words, each in found.items():
            if "--json" in words and each.output:
                json.loads(each.output.decode())
        fits = found[LOOKS[-1]]
        assert fits.code == 0, fits.error
        watched(tmp_path)
        return list(found.values())

    return looked_at_all


@pytest.mark.parametrize("kind", ["fifo", "terminal", "/dev/zero", "/dev/ptmx"])
def test_what_poses_as_the_status_of_the_shim(
    begin: Begin, look_at_all: LookAtAll, kind: str
) -> None:
    program = begin("hostile_sweep", kind, "HERE")
    look_at_all(program.pid)
    assert said(program) == b"", "nobody opened it"


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("kind", ["/dev/zero", "terminal"])
def test_what_is_opened(begin: Begin, tmp_path: Path, kind: str) -> None:
    program = begin("hostile_sweep", kind, "HERE")
    log = tmp_path / "strace"
    trace = ["strace", "-f", "-y", "-e", "trace=open,openat,openat2", "-o", str(log)]
    for words in (["ps"], ["explain", "--seconds=0.1", str(program.pid)], ["top", "--once"]):
        look(tmp_path, *trace, KSMRUN, *words)
        opened = [line for line in log.read_text().splitlines() if "memfd:ksmrun-sweep" in line]
        assert opened, "it was found"
        assert all("O_PATH" in line for line in opened), opened


def test_a_script_that_is_a_fifo_now_and_then(
    begin: Begin, look_at_all: LookAtAll, tmp_path: Path
) -> None:
    program = begin("hostile_script", "script")
    assert look(tmp_path, sys.executable, "-c", KEYS, str(program.pid)).returncode == 0
    look_at_all(program.pid)
    assert said(program) == b"", "nobody opened the FIFO"


def test_a_command_line_without_end(begin: Begin, look_at_all: LookAtAll, tmp_path: Path) -> None:
    program = begin("hostile_line")
    look_at_all(program.pid)
    done = look(tmp_path, KSMRUN, "estimate", "--match", "^long")
    assert b"1 process: merging would save" in done.stdout, done


@pytest.mark.parametrize("name", [ODD_NAME, "\udcff\udcfe", "a) R 1 (b", "\x1cPPid:\x1c1"])
def test_names_of_any_bytes(
    begin: Begin, look_at_all: LookAtAll, tmp_path: Path, name: str
) -> None:
    program = begin("hostile_name", name, "3000")
    for done in look_at_all(program.pid):
        for text in (done.output.decode(), done.error.decode()):
            assert all(each.isprintable() or each == "\n" for each in text), text
    found = json.loads(look(tmp_path, KSMRUN, "ps", "--json").stdout)
    (one,) = [each for each in found["processes"] if each["pid"] == program.pid]
    assert "3000" in one["command"]


@pytest.fixture
def odd_group() -> Iterator[Path]:
    """Make a cgroup whose name str.splitlines() takes for several lines."""
    mounts = [line.split(" ") for line in Path("/proc/mounts").read_text().split("\n") if line]
    place = next(Path(words[1]) for words in mounts if words[2] in ("cgroup2", "cgroup"))
    folder = place / f"ksmrun-{os.getpid()}\u2028a\x85b\x1cc"
    folder.mkdir()
    yield folder
    folder.rmdir()


def test_a_cgroup_of_any_name(odd_group: Path, begin: Begin, look_at_all: LookAtAll) -> None:
    program = begin("hostile_name", "x", "0")
    before = Path(f"/proc/{program.pid}/cgroup").read_bytes()
    (odd_group / "cgroup.procs").write_text(str(program.pid))
    assert Path(f"/proc/{program.pid}/cgroup").read_bytes() != before
    try:
        look_at_all(program.pid)
    finally:
        (odd_group.parent / "cgroup.procs").write_text(str(program.pid))


def test_a_program_whose_sections_are_without_end(tmp_path: Path) -> None:
    """The kernel does not read them, so it runs; readers of its file have to count them."""
    file = tmp_path / "program"
    data = bytearray(Path("/bin/sleep").read_bytes())
    # elf(5): e_shnum of 0 says that the first section's sh_size has the number.
    sections = int.from_bytes(data[40:48], "little")
    data[60:62] = bytes(2)
    data[sections + 32 : sections + 40] = (1 << 60).to_bytes(8, "little")
    file.write_bytes(data)
    file.chmod(0o755)
    # It does not merge, so `explain` reads its file for the reason.
    with subprocess.Popen([file, "1000"]) as other:
        for words in (["explain", "--seconds=0.1", str(other.pid)], ["check", "--", str(file)]):
            look(tmp_path, KSMRUN, *words)
        other.kill()


def test_metrics_in_a_folder_of_another_user(tmp_path: Path) -> None:
    """With a hardened host's umask for root; the owner of the folder cannot redirect anything."""
    folder, victim = tmp_path / "metrics", tmp_path / "victim"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    victim.write_text("mine")
    for name in ("ksmrun.prom", ".ksmrun.prom.new", ".ksmrun.prom.probe"):
        (folder / name).symlink_to(victim)
    before = os.umask(0o077)
    try:
        text = watched(tmp_path)
    finally:
        os.umask(before)
    assert "ksmrun_build_info" in text and victim.read_text() == "mine"


def test_locks_that_another_user_holds(tmp_path: Path) -> None:
    """Whoever may read a folder or file can lock it; two monitors still recognise each other."""
    folder, state = tmp_path / "metrics", tmp_path / "state"
    tmp_path.chmod(0o755)
    for each in tmp_path.parents[:2]:
        each.chmod(0o755)
    for each in (folder, state):
        each.mkdir()
    command = "for each; do flock --nonblock $each sleep 1000 & done; echo ready; wait"
    line = [*NOBODY, "sh", "-c", command, "sh", str(folder), str(state)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, start_new_session=True) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == b"ready\n"
            assert "ksmrun_build_info" in watched(tmp_path)
        finally:
            os.killpg(holder.pid, signal.SIGKILL)
