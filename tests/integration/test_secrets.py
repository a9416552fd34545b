"""--exclude-secrets: what libraries lock for keys never becomes a KSM page; equal memory does."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from compiled import compile_to
from ksm_at_boot import KSM
from waiting import wait_until

PROGRAM = Path(__file__).parent / "programs" / "secrets.c"
NO_LIBRARY = 77
LIBRARIES = ("sodium", "openssl", "gcrypt")
CALLS = ("locked", "locked2", "called", "undumped", "mapped", "failed")
MECHANISMS = ("auto", "mark")
# Documentation/admin-guide/mm/pagemap.rst
KSM_FLAG, PAGE_BYTES = 21, 4096


@dataclass
class Held:
    """A process of programs/secrets.c. merged: whether one of its secret pages was ever shared."""

    process: subprocess.Popen[str]
    secret: int
    ordinary: int
    pages: int
    merged: bool = False
    frames: list[int] = field(default_factory=list)

    def flags(self, start: int) -> Iterator[tuple[int, bool]]:
        """Yield the frame of each page, and whether it is a KSM page."""
        with (
            Path(f"/proc/{self.process.pid}/pagemap").open("rb") as pagemap,
            Path("/proc/kpageflags").open("rb") as kpageflags,
        ):
            pagemap.seek(start // PAGE_BYTES * 8)
            for (entry,) in struct.iter_unpack("=Q", pagemap.read(8 * self.pages)):
                frame = entry & ((1 << 55) - 1)
                assert entry >> 63 and frame, "a page is not in memory, or its frame not shown"
                kpageflags.seek(frame * 8)
                (flags,) = struct.unpack("=Q", kpageflags.read(8))
                yield frame, bool(flags >> KSM_FLAG & 1)

    def look(self) -> bool:
        """Look at the secret pages; return whether all ordinary ones are KSM pages."""
        seen = list(self.flags(self.secret))
        self.merged = self.merged or any(is_ksm for _, is_ksm in seen)
        self.frames = [frame for frame, _ in seen]
        return all(is_ksm for _, is_ksm in self.flags(self.ordinary))


@contextlib.contextmanager
def held(*groups: Sequence[str | Path]) -> Iterator[list[list[Held]]]:
    """Start two processes for each command, which then has to say its SEED."""
    with contextlib.ExitStack() as stack:
        found: list[list[Held]] = []
        for number, command in enumerate(groups):
            found.append([])
            for _ in range(2):
                pipe = subprocess.PIPE
                words = [*map(str, command), str(os.getpid() * 100 + number)]
                process = stack.enter_context(
                    subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)
                )
                assert process.stdin is not None and process.stdout is not None
                stack.callback(process.stdin.close)
                line = process.stdout.readline().split()
                if not line and process.wait() == NO_LIBRARY:
                    pytest.fail(f"{command[-1]}: its library is not installed (packages.sh)")
                secret, ordinary, pages = (int(word, 16) for word in line)
                found[-1].append(Held(process, secret, ordinary, pages))
        yield found


def look(processes: list[Held]) -> bool:
    """Look at each; return whether all their ordinary pages are KSM pages."""
    return [each.look() for each in processes].count(False) == 0


def settle(groups: list[list[Held]]) -> None:
    """Look until all ordinary pages are KSM pages, and for two full scans more."""
    everything = [each for group in groups for each in group]
    wait_until(lambda: look(everything), "ordinary pages merge")
    before = [list(each.frames) for each in everything]
    scans = int((KSM / "full_scans").read_text())

    def has_scanned() -> bool:
        look(everything)
        return int((KSM / "full_scans").read_text()) >= scans + 3

    wait_until(has_scanned, "three full scans")
    if not any(each.merged for each in everything):
        # A page that is merged and unmerged between two looks gets another frame.
        assert before == [each.frames for each in everything]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("secrets")
    built = {name: folder / name for name in ("secrets", "secrets_static", "secrets_musl")}
    compile_to(built["secrets"], ["gcc", "-O1", PROGRAM])
    folder.chmod(0o755)
    # dlopen(3) in a static program is not called here.
    compile_to(built["secrets_static"], ["gcc", "-O1", "-static", "-w", PROGRAM])
    headers = ["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"]
    compile_to(built["secrets_musl"], ["musl-gcc", "-O1", *headers, PROGRAM])
    return built


def excluding(ksmrun: str, mechanism: str = "auto") -> tuple[str | Path, ...]:
    options = ("--quiet", "--exclude-secrets", f"--mechanism={mechanism}", "--mark-min=4096")
    return (ksmrun, "run", *options, "--")


@pytest.mark.usefixtures("ksm_on")
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_secrets_never_merge(ksmrun: str, secrets: dict[str, Path], mechanism: str) -> None:
    """Each equals ordinary memory of the same processes that does merge."""
    launch = excluding(ksmrun, mechanism)
    kinds = [("secrets", kind) for kind in (*LIBRARIES, *CALLS)]
    # A lock that failed leaves no mark: the sweeper passes over the neighbours in that VMA as well.
    kinds += [("secrets_musl", kind) for kind in CALLS if kind != "failed"]
    with held(*((*launch, secrets[program], kind) for program, kind in kinds)) as groups:
        settle(groups)
        assert {
            kind for kind, group in zip(kinds, groups, strict=True) if any(e.merged for e in group)
        } == set()


@pytest.mark.usefixtures("ksm_on")
def test_they_merge_without_it(ksmrun: str, secrets: dict[str, Path]) -> None:
    """Locked memory merges like any other; so do direct system calls that the shim cannot see."""
    program, plain = secrets["secrets"], (ksmrun, "run", "--quiet", "--")
    groups_of: list[tuple[str | Path, ...]] = [
        (*plain, program, kind) for kind in (*LIBRARIES, *CALLS)
    ]
    groups_of.append((*excluding(ksmrun), program, "direct"))
    with held(*groups_of) as groups:
        settle(groups)
        assert all(each.merged for group in groups for each in group)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_program_that_locks_everything_does_not_merge(
    ksmrun: str, secrets: dict[str, Path], mechanism: str
) -> None:
    command: tuple[str | Path, ...] = (*excluding(ksmrun, mechanism), secrets["secrets"], "all")
    with held(command) as ((first, _),):
        status = Path(f"/proc/{first.process.pid}/smaps").read_text()
        assert " mg" not in status and " lo" in status
        ksm_stat = Path(f"/proc/{first.process.pid}/ksm_stat").read_text()
        assert "ksm_merge_any: no" in ksm_stat
        # Nor does a child of it, whose sweeper looks when it has grown, and once more by itself.
        (child,) = psutil.Process(first.process.pid).children()
        time.sleep(1)
        assert " mg" not in Path(f"/proc/{child.pid}/smaps").read_text()


def test_it_fails_closed(ksmrun: str, secrets: dict[str, Path]) -> None:
    """Where the shim cannot be, nothing merges, not even by an inherited flag; one line says so."""
    static = secrets["secrets_static"]
    nested = (ksmrun, "run", "--quiet", "--", ksmrun, "run", "--exclude-secrets", "--", static)
    for launch in (
        (ksmrun, "run", "--exclude-secrets", "--", static),
        nested,
        (ksmrun, "run", "--exclude-secrets", "--no-inherit", "--", secrets["secrets"]),
        (ksmrun, "run", "--exclude-secrets", "--mechanism=prctl", "--", secrets["secrets"]),
        (ksmrun, "run", "--exclude-secrets", "--merge=keep", "--", secrets["secrets"]),
    ):
        words: list[Any] = [*launch, "locked", "1"]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            list(map(str, words)), stdin=pipe, stdout=pipe, stderr=pipe, text=True
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            assert process.stdout.readline()
            stat = Path(f"/proc/{process.pid}/ksm_stat").read_text()
            assert "ksm_merge_any: no" in stat, words
            process.communicate()
            assert process.returncode == 0
    done = subprocess.run(
        [ksmrun, "run", "--exclude-secrets", "--", static, "locked", "1"],
        input="",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.count("\n") == 1 and "statically linked" in done.stderr
    refused = subprocess.run(
        [ksmrun, "run", "--exclude-secrets", "--require", "--", static, "locked", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 125 and "statically linked" in refused.stderr
