"""Jobs of Slurm: by cgroup, or by the environment of this user's own processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.facts.identity import pinned, read_identity
from ksmrun.facts.job import ENVIRONMENT_BYTES_MAX, job_of, own_job
from ksmrun.facts.placement import placement
from ksmrun.model.process import By
from ksmrun.observe.groups import group, matching

from .test_groups import names, process


@pytest.mark.parametrize(
    ("path", "job"),
    [
        ("/slurm/uid_1000/job_42/step_0/task_1", "42"),
        ("/slurm/uid_1000/job_42", "42"),
        ("/slurm_n1/uid_0/job_7/step_batch", "7"),
        ("/system.slice/slurmstepd.scope/job_9/step_extern/user/task_0", "9"),
        ("/system.slice/n1_slurmstepd.scope/job_9/step_0/slurm", "9"),
        # The daemon itself, other names, and what a user made below their own cgroup.
        ("/system.slice/slurmstepd.scope/system", None),
        ("/system.slice/slurmd.service", None),
        ("/user.slice/user-1000.slice/slurm/uid_1000/job_42", None),
        ("/user.slice/u/system.slice/slurmstepd.scope/job_9", None),
        ("/slurm/uid_1000/job_", None),
        ("/slurm/uid_1000/job_4x", None),
        ("/slurm/uid_1000/job_\u0664\u0662", None),
        (f"/slurm/uid_1000/job_{'1' * 11}", None),
        ("/../../slurm/uid_1000/job_42", None),
    ],
)
def test_cgroups(path: str, job: str | None) -> None:
    assert job_of(path) == job
    assert placement(f"9:memory:{path}\n1:name=systemd:/init.scope\n").job == job
    assert placement(f"0::{path}\n").job == job


@given(st.text())
def test_any_path(text: str) -> None:
    found = job_of(f"/slurm/uid_0/job_1{text}")
    assert found is None or found.isdigit()


@pytest.mark.parametrize(
    ("environment", "job"),
    [
        ("A=1\0SLURM_JOB_ID=12\0B=2\0", "12"),
        ("SLURM_JOB_ID=12", "12"),
        ("XSLURM_JOB_ID=12\0", None),
        ("A=SLURM_JOB_ID=12\0", None),
        ("SLURM_JOB_ID=1;2\0SLURM_JOB_IDS=3\0", None),
        ("", None),
    ],
)
def test_environment(tmp_path: Path, environment: str, job: str | None) -> None:
    (tmp_path / "environ").write_text(environment)
    (tmp_path / "stat").write_text(f"1 (a) S {'0 ' * 50}")
    assert own_job(tmp_path, os.geteuid()) == job
    assert own_job(tmp_path, os.geteuid() + 1) is None


def test_environment_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "environ").write_text("A" * ENVIRONMENT_BYTES_MAX + "\0SLURM_JOB_ID=12\0")
    assert own_job(tmp_path, os.geteuid()) is None


def test_a_real_process() -> None:
    command = (sys.executable, "-c", "print(flush=True); input()")
    environment = {**os.environ, "SLURM_JOB_ID": "4711"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as started:
        assert started.stdout is not None
        started.stdout.readline()
        with pinned(started.pid) as folder:
            assert read_identity(folder, started.pid).job == "4711"
        started.communicate(b"\n")


def test_groups() -> None:
    processes = [process(1, {"job": "9"}), process(2, {"job": "10"}), process(3), process(4)]
    assert names(processes, By.JOB) == ["(no job)", "9", "10"]
    assert [len(row.processes) for row in group(processes, By.JOB)] == [1, 1, 2]
    assert matching(processes, "job 10") == [processes[1]]
