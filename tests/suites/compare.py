"""Run a command directly and through ksmrun, each in a box of its own."""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ksmrun.facts.launcher import LAUNCHER

HERE = Path(__file__).parent
SCRIPTS = HERE / "scripts"
# The way that tests the addresses, not the shim.
LAYOUT = "layout"
# Only with KSMRUN_SUITES=all.
LONG_RUN = pytest.mark.long_run
# Debian's, because tests and allocators are Debian's too.
PYTHON = "/usr/bin/python3"
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
}
# --kill-child: a test that is ended takes the whole box with it.
UNSHARE = [
    "unshare",
    "--mount",
    "--pid",
    "--ipc",
    "--net",
    "--fork",
    "--kill-child",
    "--mount-proc",
]


@dataclass(frozen=True)
class Outcome:
    """Everything that can be seen of a run from outside."""

    code: int
    stdout: str
    stderr: str
    files: tuple[str, ...]
    processes: tuple[str, ...]
    ipc: int

    def lines(self) -> list[str]:
        streams = [f"code {self.code}", *self.stdout.splitlines(), "-- stderr"]
        left = ["-- left", *self.files, *self.processes, f"{self.ipc} IPC objects"]
        return [*streams, *self.stderr.splitlines(), *left]

    def differences(self, other: Outcome) -> list[str]:
        """Return the differences line by line; empty if there are none."""
        mine, theirs = self.lines(), other.lines()
        return list(difflib.unified_diff(mine, theirs, "direct", "wrapped", n=1, lineterm=""))


@dataclass(frozen=True)
class Bench:
    """Source of folders for boxes; the results of direct runs are kept."""

    folder: Path
    cache: Path
    direct: dict[str, Outcome] = field(default_factory=dict)

    def alike(
        self,
        prefix: list[str],
        command: list[str],
        *,
        environment: dict[str, str] | None = None,
        seconds: float = 120,
        reduced: Callable[[Outcome], Outcome] = lambda outcome: outcome,
    ) -> Outcome:
        """Run it directly and behind the prefix; the `reduced` results must be equal."""
        key = f"{command} {environment}"
        if key not in self.direct:
            self.direct[key] = reduced(self.run(command, environment, seconds))
        direct = self.direct[key]
        assert (direct.processes, direct.ipc) == ((), 0), "left behind without ksmrun too"
        found = direct.differences(reduced(self.run([*prefix, *command], environment, seconds)))
        assert not found, "\n".join(found)
        return direct

    @property
    def libexec(self) -> Path:
        """Return a copy that users without root can reach, as they cannot reach root's home."""
        copy = self.folder / "ksmrun"
        if not copy.exists():
            shutil.copytree(LAUNCHER.parent, copy)
        return copy

    def prefix(self, mechanism: str) -> list[str]:
        """Return what `ksmrun run` would exec, with a box's paths; a path is a shim of ours."""
        if mechanism.startswith("/"):
            return ["/mnt/ksmrun/ksmrun-exec", "--merge=keep", f"--preload={mechanism}", "--"]
        if mechanism == LAYOUT:
            words = self.planned("--mechanism=prctl", "--layout=shared")
            assert "--layout=shared" in words
        else:
            words = self.planned(f"--mechanism={mechanism}")
            assert any(word.startswith("--preload=") for word in words), "to be tested is the shim"
        return words

    def planned(self, *options: str) -> list[str]:
        ksmrun = str(Path(sys.executable).with_name("ksmrun"))
        keys = str(self.folder / "keys")
        line = subprocess.run(
            [ksmrun, "run", "--quiet", *options, "--dry-run", "--", "/bin/true"],
            env=os.environ | {"KSMRUN_LAYOUT_DIR": keys},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        line = line.replace(str(LAUNCHER.parent), "/mnt/ksmrun").replace(keys, "/mnt/programs/keys")
        words = shlex.split(line)
        assert words[-2:] == ["--", "/bin/true"]
        return words[:-1]

    def run(
        self,
        command: list[str],
        environment: dict[str, str] | None = None,
        seconds: float = 120,
    ) -> Outcome:
        """Run it. Raises subprocess.TimeoutExpired; nothing of the box is left then either."""
        work = self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        work.chmod(0o777)
        read_end, write_end = os.pipe()
        folders = {
            "work": work,
            "ksmrun": self.libexec,
            "cache": self.cache,
            "scripts": SCRIPTS,
            "programs": self.folder,
        }
        box = [*UNSHARE, PYTHON, "-I", "-S", str(HERE / "box.py"), str(write_end)]
        box += [f"{name}={folder}" for name, folder in folders.items()]
        with os.fdopen(read_end) as report:
            try:
                done = subprocess.run(
                    [*box, "--", *command],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    env=ENVIRONMENT | (environment or {}),
                    pass_fds=[write_end],
                    timeout=seconds,
                    check=False,
                )
            finally:
                os.close(write_end)
            text = report.read()
        out, err = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
        assert text, f"the box broke: {out}{err}"
        found = json.loads(text)
        files, processes = tuple(found["files"]), tuple(found["processes"])
        return Outcome(found["code"], out, err, files, processes, found["ipc"])


def only(outcome: Outcome, pattern: str) -> Outcome:
    """Return the lines of its output that match the pattern, and the match."""
    both = (outcome.stdout + outcome.stderr).splitlines()
    found = [match[0] for line in both if (match := re.search(pattern, line))]
    return replace(outcome, stdout="\n".join(found), stderr="")


def has_shim(prefix: list[str]) -> bool:
    """Return whether the way uses the shim; else it uses the layout."""
    return any(word.startswith("--preload=") for word in prefix)
