"""`ksmrun estimate` on processes whose pages are known, compared with what KSM then does."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from compiled import compile_to
from folders import let_all_in
from schemas import ESTIMATE

from ksmrun.facts.process import read_memory
from ksmrun.facts.select import in_container, in_unit
from ksmrun.model.estimate import KindPages
from ksmrun.observe.estimate import HASHER, look_at_pages
from tests.integration.conftest import SOURCES

Start = Callable[..., subprocess.Popen[bytes]]
NOBODY = 65534


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build `pages`, static, so that its own memory is small and equal in each process."""
    target = let_all_in(tmp_path_factory.mktemp("pages")) / "pages"
    compile_to(target, ["gcc", "-O1", "-static", SOURCES / "pages.c"])
    return str(target)


@pytest.fixture
def start(pages: str) -> Iterator[Start]:
    """Start `pages` with these arguments, and wait until it is ready."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(*arguments: object, prefix: Sequence[str] = (), **options: Any) -> Any:
        process = subprocess.Popen(
            [*prefix, pages, *map(str, arguments)], stdout=subprocess.PIPE, **options
        )
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def anonymous(pids: Sequence[int], **options: Any) -> KindPages:
    return look_at_pages(pids, **options).kinds["anonymous"]


def own(start: Start) -> int:
    """Return the pages of the program itself that count as anonymous: its bss."""
    return anonymous([start(0, 0, 0, 0, 0, 0).pid]).frames


def test_each_kind_of_page(start: Start) -> None:
    bss = own(start)
    one, two = start(1, 100, 50, 30, 20, 40), start(2, 100, 50, 30, 20, 40)
    found = look_at_pages([one.pid, two.pid])
    kind = found.kinds["anonymous"]
    assert kind.frames == kind.pages == 2 * (200 + bss)
    assert abs(kind.plain.unique - 200) <= 2 * bss
    assert kind.plain.equal_within == 100
    assert abs(kind.plain.equal_across - 60) <= 2 * bss
    assert abs(kind.plain.zero - 40) <= 2 * bss
    # Each process keeps its 100 and one of 50; together they keep one set of 30, and one zero page.
    assert abs(kind.plain.kept - (200 + 2 + 30 + 1)) <= 2 * bss
    assert found.untouched_pages >= 80
    assert [round(each.plain.in_one) for each in found.processes] == pytest.approx(
        [101, 101], abs=12
    )


def test_what_a_fork_shares_counts_once_and_stays_shared(start: Start) -> None:
    parent = start(1, 2000, 0, 0, 0, 0, "fork")
    (child,) = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    before = read_memory(Path("/proc") / child).pss_anonymous_bytes
    kind = anonymous([parent.pid, int(child)])
    assert kind.pages - kind.frames >= 2000
    assert 2000 <= kind.frames <= 2050
    after = read_memory(Path("/proc") / child).pss_anonymous_bytes
    assert before is not None and after is not None
    # process_vm_readv would give it 2,000 pages of its own, half of which are in its PSS now.
    assert abs(after - before) < 100 * 4096


@pytest.mark.usefixtures("ksm_on")
def test_what_ksm_merged_stays_merged(start: Start, launcher: str) -> None:
    marked = [launcher, "--"]
    one, two = (start(seed, 0, 0, 2000, 0, 0, prefix=marked) for seed in (1, 2))

    def merged() -> int:
        text = Path(f"/proc/{two.pid}/ksm_merging_pages").read_text()
        return int(text)

    deadline = time.monotonic() + 30
    while merged() < 2000 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert merged() >= 2000
    kind = anonymous([one.pid, two.pid])
    assert merged() >= 2000
    assert kind.pages - kind.frames >= 2000, "what is one frame already counts once"


@pytest.mark.usefixtures("ksm_on")
def test_ksm_then_saves_what_was_told(start: Start, launcher: str) -> None:
    arguments = (1000, 500, 3000, 400, 200)
    plain = [start(seed, *arguments).pid for seed in range(3)]
    told = look_at_pages(plain)
    marked = [start(seed, *arguments, prefix=[launcher, "--"]).pid for seed in range(3)]

    def left_bytes() -> int:
        memories = [read_memory(Path(f"/proc/{pid}")) for pid in marked]
        return sum(each.pss_anonymous_bytes or 0 for each in memories)

    deadline, wanted = time.monotonic() + 30, told.kept_plain * 4096
    while abs(left_bytes() - wanted) > 0.02 * told.frames * 4096 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left_bytes() == pytest.approx(wanted, abs=0.02 * told.frames * 4096)


def test_changing_pages_are_not_counted_on(start: Start) -> None:
    pids = [start(7, 300, 0, 0, 0, 0, "change").pid for _ in range(2)]
    kind = anonymous(pids, volatile_after_seconds=0.5)
    assert kind.plain.volatile >= 600
    assert kind.plain.kept >= 600


def test_one_that_is_gone(start: Start) -> None:
    gone = start(1, 0, 0, 0, 0, 0)
    gone.kill()
    gone.wait()
    here = start(1, 10, 0, 0, 0, 0)
    found = look_at_pages([gone.pid, here.pid])
    assert here.pid in [each.pid for each in found.processes]
    assert gone.pid in [each.pid for each in found.unread]
    assert "it has ended" in next(each.reason for each in found.unread if each.pid == gone.pid)


def test_the_target_is_not_stopped(start: Start, tmp_path: Path) -> None:
    """Nothing that could stop or change it is called: only /proc is read."""
    process = start(1, 1000, 0, 0, 0, 0)
    trace = tmp_path / "trace"
    subprocess.run(
        ["strace", "-f", "-o", trace, HASHER, "--layout", str(process.pid)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    calls = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    assert not calls & {"ptrace", "kill", "tgkill", "process_vm_readv", "process_madvise"}
    opened = re.findall(r"open(?:at)?\(.*?\"([^\"]*)\", (\S+?)[,)]", trace.read_text())
    assert all("O_RDONLY" in flags or "O_PATH" in flags for _, flags in opened)


def test_memory_for_each_page(start: Start) -> None:
    """At most 64 bytes, besides a fixed amount."""
    small, big = (look_at_pages([start(1, pages, 0, 0, 0, 0).pid]) for pages in (10, 100_000))
    grown = big.own_peak_bytes - small.own_peak_bytes
    assert grown / (big.read_pages - small.read_pages) <= 64


# 17 TiB of inaccessible memory, as a shared layout reserves, and one more with a page in each 8
# GiB.
SPARSE = """
import ctypes, time
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
assert libc.mmap(None, 17 << 40, 0, 0x4022, -1, 0) < 1 << 63
start = libc.mmap(None, 1 << 40, 3, 0x4022, -1, 0)
for number in range(128):
    ctypes.memset(start + (number << 33), number + 1, 4096)
print("ready", flush=True)
time.sleep(1000)
"""


def test_terabytes_without_pages(tmp_path: Path) -> None:
    """Finding out that nothing is there once took half a minute for each such process."""
    trace = tmp_path / "trace"
    with subprocess.Popen(["python3", "-c", SPARSE], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            line = ["strace", "-f", "-c", "-o", str(trace), str(HASHER), str(process.pid)]
            done = subprocess.run(line, stdout=subprocess.PIPE, check=True)
        finally:
            process.kill()
    assert json.loads(done.stdout)["kinds"]["anonymous"]["frames"] >= 128
    (calls,) = re.findall(r"(\d+)\s+pread64$", trace.read_text(), re.MULTILINE)
    assert int(calls) < 20_000


@pytest.mark.parametrize("words", [[], ["huge"]])
def test_gigabytes_of_zeros(tmp_path: Path, words: list[str]) -> None:
    """Memory that was only ever read is none, and is not read: it consists of page tables only."""
    thp = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if words and (not thp.exists() or "[never]" in thp.read_text()):
        pytest.skip("no transparent huge pages here")
    program = tmp_path / "zeros"
    subprocess.run(["gcc", "-O1", "-o", program, SOURCES / "zeros.c"], check=True)
    line = ["setpriv", f"--reuid={NOBODY}", "--clear-groups", str(program), *words]
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    with subprocess.Popen(line, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            start = time.monotonic()
            found = look_at_pages([process.pid])
            assert time.monotonic() - start < 2
        finally:
            process.kill()
    assert found.read_pages < 1000
    assert found.untouched_pages >= 1 << 20
    assert found.kinds["anonymous"].pages < 1000


def test_one_that_is_not_read_in_time(tmp_path: Path, start: Start) -> None:
    """The others are read, and nobody waits for the child that reads it."""
    first, second = start(1, 300, 0, 0, 0, 0), start(2, 300, 0, 0, 0, 0)
    # For the first child, before its first read of pages.
    rule = "inject=pread64:delay_enter=60000000:when=1"
    line = ["strace", "-f", "-qq", "-e", "trace=pread64", "-P", f"/proc/{first.pid}/mem"]
    line += ["-e", rule, "-o", str(tmp_path / "trace"), str(HASHER)]
    began = time.monotonic()
    with subprocess.Popen(
        [*line, str(first.pid), str(second.pid)], stdout=subprocess.PIPE, start_new_session=True
    ) as tracing:
        assert tracing.stdout is not None
        found = json.loads(tracing.stdout.readline() or tracing.stdout.read())
        seconds = time.monotonic() - began
        os.killpg(tracing.pid, signal.SIGKILL)
    by_pid = {each["pid"]: each for each in found["processes"]}
    assert seconds < 4
    assert by_pid[first.pid]["errno"] == errno.ETIME
    assert by_pid[second.pid]["pages"] >= 300
    assert found["kinds"]["anonymous"]["pages"] < 600


def test_processes_that_come_and_go(pages: str) -> None:
    """Processes map, unmap and end during the estimate."""
    script = "import mmap\nwhile True:\n m = mmap.mmap(-1, 8 << 20)\n m.write(b'x' * (8 << 20))\n"
    busy = subprocess.Popen(["python3", "-c", script])
    try:
        for _ in range(20):
            short = subprocess.Popen(
                [pages, "1", "5000", "0", "0", "0", "0"], stdout=subprocess.DEVNULL
            )
            found = look_at_pages([busy.pid, short.pid])
            short.kill()
            short.wait()
            # On a slow machine it may not be read in time.
            read = {each.pid for each in found.processes}
            assert busy.pid in read | {each.pid for each in found.unread}
    finally:
        busy.kill()
        busy.wait()


def ask(ksmrun: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ksmrun, "estimate", *map(str, arguments)], capture_output=True, text=True, **options
    )


def test_the_command(ksmrun: str, start: Start) -> None:
    pids = [start(seed, 500, 0, 1500, 0, 0).pid for seed in (1, 2)]
    done = ask(ksmrun, *pids)
    assert done.returncode == 0 and done.stderr == ""
    verdict = re.search(r"2 processes: merging would save ([\d.]+) of ([\d.]+) MiB", done.stdout)
    assert verdict is not None
    assert float(verdict[1]) == pytest.approx(1500 / 256, abs=0.3)
    assert float(verdict[2]) == pytest.approx(4000 / 256, abs=0.5)
    copy = re.search(r"One more process would take ([\d.]+) MiB instead of ([\d.]+)", done.stdout)
    assert copy is not None and float(copy[1]) == pytest.approx(500 / 256, abs=0.3)
    found = json.loads(ask(ksmrun, "--json", *pids).stdout)
    assert found["schema"] == ESTIMATE
    told = found["predictions"][0]
    assert told["processes"] == 2
    # What both keep, and one of them once more as if unmerged.
    request_mib = (2500 + 2000 - 500) / 2 / 256
    assert told["request_bytes"] / 2**20 == pytest.approx(min(request_mib, 2000 / 256), abs=0.4)
    assert told["request_bytes"] <= told["process_bytes"]


def test_match_and_tree(ksmrun: str, start: Start) -> None:
    parent = start(987654, 10, 0, 0, 0, 0, "fork")
    by_match = json.loads(ask(ksmrun, "--json", "--match", "pages 987654 ").stdout)
    assert by_match["predictions"][0]["processes"] == 2
    assert json.loads(ask(ksmrun, "--json", parent.pid).stdout)["predictions"][0]["processes"] == 1
    with_tree = json.loads(ask(ksmrun, "--json", "--tree", parent.pid).stdout)
    assert with_tree["predictions"][0]["processes"] == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no process is named"),
        (["--match", "("], "not a valid regular expression"),
        (["--match", "no such line anywhere [0-9]{40}"], "no process found"),
        (["--unit", "no-such-unit"], "no process found by --unit"),
        (["--container", "zz"], "no process found by --container"),
        (["--sample", "5", "1"], "give a share from 0.01% to 100%"),
        (["--sample", "0%", "1"], "give a share from 0.01% to 100%"),
        (["4194303"], "could not be read: it has ended"),
    ],
)
def test_bad_input(ksmrun: str, arguments: list[str], words: str) -> None:
    done = ask(ksmrun, *arguments)
    is_misused = not arguments or arguments[:2] in (
        ["--match", "("],
        ["--sample", "5"],
        ["--sample", "0%"],
    )
    assert done.returncode == (2 if is_misused else 1)
    assert words in done.stderr and "; " in done.stderr and "Traceback" not in done.stderr


def test_without_root(start: Start) -> None:
    """A user's own processes can be read; other users' are named."""
    mine = start(1, 100, 50, 0, 0, 0, user=NOBODY, group=NOBODY)
    others = start(2, 100, 0, 0, 0, 0)
    done = subprocess.run(
        [HASHER, str(mine.pid), str(others.pid)],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert not found["frames_known"]
    first, second = found["processes"]
    assert first["pages"] >= 150 and second["errno"] in (1, 13)


def test_sampled(ksmrun: str, start: Start) -> None:
    """40 processes, of which 10 are examined: the interval contains the truth."""
    pids = [start(seed, 100, 0, 300, 0, 0).pid for seed in range(40)]
    done = json.loads(ask(ksmrun, "--json", "--sample", "25%", "--no-layout", *pids).stdout)
    (prediction,) = done["predictions"]
    assert (prediction["looked_at"], prediction["processes"]) == (10, 40)
    whole = look_at_pages(pids, layout=False)
    assert prediction["kept_bytes"] == pytest.approx(whole.kept_plain * 4096, rel=0.03)
    assert prediction["now_bytes"] == pytest.approx(whole.frames * 4096, rel=0.03)


def test_a_stopped_process(start: Start) -> None:
    process = start(1, 100, 0, 0, 0, 0)
    os.kill(process.pid, signal.SIGSTOP)
    assert anonymous([process.pid]).frames >= 100
    os.kill(process.pid, signal.SIGCONT)


def test_by_unit_and_container(tmp_path: Path) -> None:
    """Found by cgroup (cgroups(7)); names of real containers are tested in tests/containers."""
    container = "ab" * 32
    for number, text in ((1, "0::/system.slice/game@1.service"), (2, f"0::/docker/{container}")):
        (tmp_path / f"proc/{number}").mkdir(parents=True)
        (tmp_path / f"proc/{number}/cgroup").write_text(f"{text}\n")
    assert in_unit("game@1", tmp_path) == in_unit("game@1.service", tmp_path) == (1,)
    assert in_unit("game", tmp_path) == ()
    assert in_container("abab", tmp_path) == in_container(container, tmp_path) == (2,)
    assert in_container("aba", tmp_path) == in_container("cdcd", tmp_path) == ()
