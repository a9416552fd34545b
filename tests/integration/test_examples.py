"""Examples of the help work when they are pasted into a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ksmrun.options.table import leaves, top

LINES = {line for each in (top(), *top().commands, *leaves()) for _, line in each.examples}
# Those that change this host's KSM, watch it for long, or need what is not here, such as a service
# or the results of an experiment, are tested where that is.
ELSEWHERE = (
    *("sudo ksmrun host on", "sudo ksmrun host off", "sudo ksmrun host unmerge"),
    *("sudo ksmrun host set", "sudo ksmrun host max", "sudo ksmrun host restore"),
    *("sudo ksmrun ab", "ksmrun report", "sudo ksmrun monitor --listen", "sudo ksmrun top"),
    "sudo ksmrun monitor --auto=pressure",
    *("sudo ksmrun wrap install", "ksmrun wrap unit", "sudo ksmrun wrap unit"),
    *("sudo ksmrun wrap quadlet", "sudo ksmrun attach --unit", "sudo ksmrun detach --unit"),
    *("ksmrun wrap image my", "ksmrun wrap compose compose", "ksmrun wrap pod --from host web"),
    *("sudo ksmrun estimate --match", "ksmrun completion fish"),
    *("sudo ksmrun trust show", "sudo ksmrun trust check", "sudo ksmrun trust claim"),
    *("sudo ksmrun trust plan", "sudo ksmrun trust release", "sudo ksmrun host tune --cpus"),
)
HERE = sorted(line for line in LINES if not line.startswith(ELSEWHERE))


def test_most_are_run() -> None:
    assert len(HERE) > 20
    for each in ELSEWHERE:
        assert any(line.startswith(each) for line in LINES), f"{each}: no longer an example"


@pytest.mark.parametrize("line", HERE)
def test_an_example_can_be_pasted(ksmrun: str, tmp_path: Path, line: str) -> None:
    if "compose" in line and not (shutil.which("docker") or shutil.which("podman-compose")):
        pytest.skip("no Compose here")
    script = f'sudo() {{ "$@"; }}\n{line}\ncode=$?\nkill $! 2>/dev/null\nexit $code'
    environment = {
        **os.environ,
        "PATH": f"{Path(ksmrun).parent}:{os.environ['PATH']}",
        "KSMRUN_LAYOUT_DIR": str(tmp_path / "keys"),
    }
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    # By 1 these say that something is not in order, as KSM may be off.
    may_judge = line.removeprefix("sudo ").startswith(("ksmrun check", "ksmrun status"))
    assert done.returncode in ((0, 1) if may_judge else (0,)), done.stderr
    assert "Traceback" not in done.stderr
