"""What may be unmerged where ksmrun itself runs in a container."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS

pytestmark = pytest.mark.own_pids

INSIDE = """
mount --make-rprivate / && mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/memory &&
{ mount -t cgroup -o memory none /sys/fs/cgroup/memory 2>/dev/null ||
  { rmdir /sys/fs/cgroup/memory && mount -t cgroup2 none /sys/fs/cgroup; }; } || exit 77
exec "$@"
"""


def test_the_limit_of_the_container_that_this_runs_in(tmp_path: Path) -> None:
    """As in a container with a cgroup namespace, where its own group is the topmost."""
    is_v1 = Path("/sys/fs/cgroup/memory").is_dir()
    folder = Path("/sys/fs/cgroup", "memory" if is_v1 else "", f"ksmrun-limit-{os.getpid()}")
    folder.mkdir()
    try:
        limit = "memory.limit_in_bytes" if is_v1 else "memory.max"
        if not (folder / limit).exists():
            pytest.skip("the memory controller is not handed on here")
        (folder / limit).write_text(str(256 << 20))
        enter = (
            f"echo $$ >{folder}/cgroup.procs && exec unshare --cgroup --mount sh -c '{INSIDE}' sh"
        )
        code = "import os, sys, pathlib; from ksmrun.host.unmerge_safety import check_fits\n"
        code += "check_fits({os.getpid(): 1 << 18}, pathlib.Path('/'))"
        done = subprocess.run(
            ["sh", "-c", f'{enter} "$@"', "sh", sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=LAST_RESORT_SECONDS,
            check=False,
            cwd=tmp_path,
        )
    finally:
        folder.rmdir()
    if done.returncode == 77:
        pytest.skip("no memory controller can be mounted here")
    assert "1024 MiB in this container, where" in done.stderr, done.stderr
