"""Containers that merge with each other, though neither image nor command is prepared for it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_until

from ksmrun.facts.launcher import launcher_path

# A shell's variable of 4 MiB, whose pages are all equal.
FILL = 'x=$(head -c 4194304 /dev/zero | tr "\\0" a); echo ready; sleep 300; echo $x'
PAGES = 4 * 256


@pytest.fixture
def start(tmp_path: Path) -> Iterator[object]:
    (tmp_path / "root/bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", tmp_path / "root/bin")
    for name in ("sh", "head", "tr", "sleep"):
        (tmp_path / "root/bin" / name).symlink_to("busybox")
    runtime = [str(launcher_path().with_name("ksmrun-oci")), "--ksmrun-runtime=/usr/sbin/runc"]
    runtime.append(f"--root={tmp_path}/state")
    names: list[str] = []

    def start_one(annotations: dict[str, str]) -> int:
        names.append(f"merge{len(names)}")
        bundle = tmp_path / names[-1]
        bundle.mkdir()
        subprocess.run(["runc", "spec"], cwd=bundle, check=True)
        config = json.loads((bundle / "config.json").read_text())
        config["process"] |= {"terminal": False, "args": ["sh", "-c", FILL], "rlimits": []}
        config |= {"root": {"path": f"{tmp_path}/root"}, "annotations": annotations}
        (bundle / "config.json").write_text(json.dumps(config))
        with (bundle / "output").open("wb") as output:
            words = [*runtime, "run", "--detach", f"--bundle={bundle}", names[-1]]
            subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True
            )
        wait_until(lambda: "ready" in (bundle / "output").read_text())
        state = subprocess.run([*runtime, "state", names[-1]], capture_output=True, check=True)
        return int(json.loads(state.stdout)["pid"])

    yield start_one
    for name in names:
        subprocess.run([*runtime, "delete", "--force", name], check=True)


def merging_pages(pid: int) -> int:
    return int(Path(f"/proc/{pid}/ksm_merging_pages").read_text())


@pytest.mark.usefixtures("ksm_on")
def test_containers_merge(start: object) -> None:
    assert callable(start)
    first, second, control = start({}), start({}), start({"ksmrun.merge": "off"})
    wait_until(lambda: min(merging_pages(first), merging_pages(second)) >= PAGES)
    assert merging_pages(control) == 0
