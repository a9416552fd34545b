"""A host with trust domains: its own /etc/ksmrun and /run/ksmrun, and programs that merge."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The holder of a mount namespace, which ends with its stdin.
HOLDER = """
mkdir -p "$1/upper" "$1/work" &&
mount -t overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" overlay /etc &&
mkdir -p -m 755 /etc/ksmrun && mount -t tmpfs -o mode=755 tmpfs /run/ksmrun &&
echo ready && exec cat
"""
# How: prctl, madvise, or none; then it sleeps, with the flag of a child's too.
MERGING = """
import ctypes, mmap, sys, time
libc = ctypes.CDLL(None, use_errno=True)
memory = mmap.mmap(-1, 1 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
if sys.argv[1] == "prctl":
    assert libc.prctl(67, 1, 0, 0, 0) == 0
elif sys.argv[1] == "madvise":
    memory.madvise(mmap.MADV_MERGEABLE)
print("ready", flush=True)
time.sleep(1000)
"""


@dataclass(frozen=True)
class TrustHost:
    """Place of commands. etc: its /etc/ksmrun, seen from outside."""

    holder: int
    ksmrun_path: str
    etc: Path

    def write(self, text: str) -> Path:
        """Write the trust file."""
        file = self.etc / "trust.toml"
        file.write_text(text)
        file.chmod(0o644)
        return file

    def command(self, *words: str) -> list[str]:
        return ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt", "--", *words]

    def try_ksmrun(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(self.ksmrun_path, *words),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "200"},
        )

    def ksmrun(self, *words: str) -> str:
        done = self.try_ksmrun(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def look(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ksmrun("trust", "show", "--json"))
        return found


def as_uid(uid: int) -> list[str]:
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]


@contextlib.contextmanager
def trust_host(folder: Path, ksmrun: str) -> Iterator[TrustHost]:
    """Yield a host of its own."""
    holder = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", HOLDER, "holder", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        yield TrustHost(holder.pid, ksmrun, folder / "upper/ksmrun")
    finally:
        holder.kill()
        holder.communicate()


@contextlib.contextmanager
def merging(how: str = "prctl", uid: int = 0) -> Iterator[int]:
    """Run a program of this user that merges; yield its PID."""
    as_user = [] if uid == 0 else as_uid(uid)
    # This Python itself may be in a folder of root's.
    python = sys.executable if uid == 0 else "/usr/bin/python3"
    process = subprocess.Popen(
        [*as_user, python, "-c", MERGING, how], stdout=subprocess.PIPE, text=True, cwd="/"
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()
