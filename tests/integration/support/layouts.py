"""Programs that print their addresses, launched with a shared layout."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from compiled import compile_to
from folders import let_all_in

from ..conftest import SOURCES, Programs, reachable

AS_PID_1 = ("unshare", "--fork", "--pid", "--mount-proc", "--kill-child")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PARTS = ("program", "local", "mmap", "brk", "vdso")
KINDS = {
    "where": ["gcc"],
    "where_no_pie": ["gcc", "-no-pie"],
    "where_static": ["gcc", "-static"],
    "where_static_pie": ["gcc", "-static-pie"],
    "where_musl": ["musl-gcc"],
    "where_musl_static": ["musl-gcc", "-static"],
    "where_aligned": ["gcc", "-Wl,-z,max-page-size=0x200000"],
    "where_bss": ["gcc", "-DBSS"],
}


@pytest.fixture(scope="session")
def kinds(programs: Programs) -> Programs:
    """Build the program in every way that it can be linked."""
    for name, compiler in KINDS.items():
        source = programs.folder.parent / "where.c"
        text = (SOURCES / "where.c").read_text()
        source.write_text(f"#ifdef BSS\nchar huge[3l << 30];\n#endif\n{text}")
        model = "-mcmodel=large" if "bss" in name else "-O1"
        target = programs.folder / name
        compile_to(target, [*compiler, model, source])
    return programs


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "keys"
    monkeypatch.setenv("KSMRUN_LAYOUT_DIR", str(folder))
    return folder


@pytest.fixture
def shared(ksmrun: str) -> tuple[str, ...]:
    return (ksmrun, "run", "--quiet", "--layout=shared", "--require", "--")


def where(*command: str | Path, **options: Any) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert (done.returncode, done.stderr) == (0, ""), command
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def parts(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(found[part] for part in PARTS)


@pytest.fixture
def key(tmp_path: Path) -> str:
    file = tmp_path / "key"
    file.write_bytes(random.Random(1).randbytes(32))
    file.chmod(0o400)
    return str(file)


@pytest.fixture
def launch(launcher: str, key: str) -> list[str]:
    return [launcher, "--quiet", "--layout=shared", f"--layout-key={key}", "--"]


def tracer_of(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        text = Path(f"/proc/{pid}/status").read_text()
        return int(text.split("TracerPid:")[1].split()[0])
    return 0


def refused(*command: str | Path, **options: Any) -> str:
    """Check that the layout is refused: the program runs, and with --require does not start."""
    launch, program = list(command[:-1]), command[-1]
    done = subprocess.run(
        [*launch, "--", program], capture_output=True, text=True, check=False, **options
    )
    lines = [line for line in done.stderr.splitlines() if "KSM is off" not in line]
    assert done.returncode == 0 and len(lines) == 1, done
    strict = subprocess.run(
        [*launch, "--require", "--", program],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    assert (strict.returncode, strict.stdout) == (125, "")
    assert "the program starts anyway; to do: " in lines[0]
    line: str = lines[0]
    return line


TABLES = """
import sys
held = [{"number": n, "text": str(n) * 3} for n in range(40000)]
print("ready", flush=True)
sys.stdin.read()
"""


def share_merged(pids: Sequence[int]) -> float:
    """Return the merged share of their anonymous pages, by their own counters."""
    merged, anonymous_pages = 0, 0
    for pid in pids:
        merged += int(Path(f"/proc/{pid}/ksm_merging_pages").read_text())
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        anonymous_pages += int(rollup.split("Anonymous:")[1].split()[0]) * 1024 // PAGE_BYTES
    return merged / anonymous_pages


def write(file: Path, text: str) -> Path:
    file.write_text(text + "\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that other users can look into."""
    return let_all_in(tmp_path)


def user(launcher: str, folder: Path, *options: str) -> tuple[list[str], list[str]]:
    """Return how to run a command as an unprivileged user, alone and with the layout."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    file = folder / "user.key"
    if not file.exists():
        file.write_bytes(random.Random(2).randbytes(32))
        os.chown(file, 65534, 65534)
        file.chmod(0o400)
    shared = ["--layout=shared", f"--layout-key={file}"]
    return nobody, [*nobody, reachable(launcher, folder), *shared, *options]
