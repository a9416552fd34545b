"""Jobs on the real Slurm: merged as asked for, and otherwise as without the plugin."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_until

from ksmrun.host.temporary_tunables import borrowed
from ksmrun.report.gate import EXIT_CODES, GO, STOP, UNSURE

from .slurm import Cluster, running

EXAMPLES = Path(__file__).parents[2] / "examples/slurm"
NOBODY = "65534"
# Where things are moved to by a shared layout; PIE's base is above, its stack below.
PLACES = ("grep", "-E", "stack|heap", "/proc/self/maps")
NO_KSM = "n3: memory will not merge: a seccomp filter refuses prctl"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # A folder of its own: users must reach the programs in it, and pytest closes its own again
    # whenever another run starts.
    with (
        tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True) as folder,
        running(Path(folder)) as cluster,
    ):
        yield cluster


@pytest.fixture(autouse=True)
def as_configured(cluster: Cluster) -> Iterator[None]:
    yield
    cluster.preset()


@pytest.fixture(scope="module")
def group(cluster: Cluster) -> str:
    """Make the key of a group on the host of all nodes, as prolog.sh does."""
    folder = "/run/ksmrun/layout/units"
    make = f"umask 077; mkdir -p {folder}; head -c 32 /dev/urandom > {folder}/web.key"
    cluster.run("sh", "-c", make)
    return "--ksm-layout=web"


def test_the_options_are_in_the_help(cluster: Cluster) -> None:
    for command in ("srun", "sbatch", "salloc"):
        text = cluster.run(command, "--help")
        assert "--ksm=on|off|require" in text
        assert "--ksm-layout=GROUP" in text


@pytest.mark.parametrize("value", ["--ksm=maybe", "--ksm=", "--ksm-layout=../x", "--ksm-layout="])
def test_a_wrong_value_starts_nothing(cluster: Cluster, value: str) -> None:
    done = cluster("srun", value, "echo", "started")
    assert done.returncode != 0
    assert done.stdout == ""
    assert "to do" in done.stderr or "requires an argument" in done.stderr


def test_only_those_merge_that_ask(cluster: Cluster) -> None:
    flag = cluster.folder / "flag"
    assert cluster("srun", "-w", "n1", "--ksm=on", flag).returncode == 0
    assert cluster("srun", "-w", "n1", flag).returncode == 1
    cluster.preset("default=on")
    assert cluster("srun", "-w", "n1", flag).returncode == 0
    assert cluster("srun", "-w", "n1", "--ksm=off", flag).returncode == 1


def test_a_wrong_word_in_plugstack_is_said(cluster: Cluster) -> None:
    cluster.preset("default=perhaps")
    done = cluster("srun", "-w", "n1", "echo", "started")
    assert done.stdout == "started\n"
    assert "'default=perhaps' is ignored" in done.stderr


def test_a_node_where_it_is_impossible(cluster: Cluster) -> None:
    flag = cluster.folder / "flag"
    done = cluster("srun", "-N3", "--ksm=on", "--label", "sh", "-c", f"{flag}; echo $?")
    assert sorted(done.stdout.split("\n")[:-1]) == ["0: 0", "1: 0", "2: 1"]
    assert done.stderr.count("to do") == 1
    assert f"{NO_KSM}(PR_SET_MEMORY_MERGE); the program starts anyway" in done.stderr


def test_a_kernel_that_loses_the_flag_is_found_by_trial(cluster: Cluster, tmp_path: Path) -> None:
    """By its number alone n2 would be one."""
    flag, lost = (
        ("srun", "-w", "n2", "--ksm=require", cluster.folder / "flag"),
        "loses the merge flag",
    )
    done = cluster(*flag)
    assert (done.returncode, done.stderr) == (0, "")

    tmp_path.chmod(0o755)
    through = f"exec {cluster.folder}/lose {cluster.folder}/libexec/ksmrun-slurm-task"
    (tmp_path / "ksmrun-slurm-task").write_text(f'#!/bin/sh\n{through} "$@"\n')
    (tmp_path / "ksmrun-slurm-task").chmod(0o755)
    cluster.preset(f"libexec={tmp_path}")
    done = cluster(*flag)
    assert done.returncode == 125
    assert f"n2: memory will not merge: this kernel {lost} at exec; the program is" in done.stderr
    # n1's kernel has a number that needs no trial.
    assert cluster("srun", "-w", "n1", *flag[3:]).returncode == 0
    # What cannot be tried is taken for lost.
    (tmp_path / "ksmrun-slurm-task").unlink()
    assert lost in cluster("srun", "-w", "n2", "--ksm=on", cluster.folder / "flag").stderr


def test_required_where_it_is_impossible(cluster: Cluster) -> None:
    done = cluster("srun", "-w", "n3", "--ksm=require", "echo", "started")
    assert done.returncode == 125
    assert done.stdout == ""
    assert NO_KSM in done.stderr


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("options", [["--ksm=on"], ["--ksm=on", "--ksm-layout=web"]])
@pytest.mark.parametrize("script", ["exit 0", "exit 7", "exit 127", "kill -9 $$", "kill -15 $$"])
def test_exit_codes_and_signals(cluster: Cluster, script: str, options: list[str]) -> None:
    plain = cluster("srun", "-w", "n1", "sh", "-c", script)
    merged = cluster("srun", "-w", "n1", *options, "sh", "-c", script)
    assert merged.returncode == plain.returncode
    assert merged.stdout == plain.stdout


def test_a_signal_reaches_the_program(cluster: Cluster, group: str) -> None:
    (cluster.folder / "work/waits").unlink(missing_ok=True)
    script = "trap 'exit 5' TERM; touch waits; while :; do sleep 0.1; done"
    job = cluster.run(
        *("sbatch", "--parsable", "-w", "n1", "--ksm=on", "--wrap"),
        f'srun --ksm=on {group} sh -c "{script}"; echo "ended $?" > said',
    ).strip()
    wait_until((cluster.folder / "work/waits").exists, "the step")
    cluster.run("scancel", "--signal=TERM", f"{job}.0")
    assert cluster.ended(job) == "COMPLETED 0:0"
    assert (cluster.folder / "work/said").read_text() == "ended 5\n"


def test_a_step_that_is_killed_leaves_nothing(cluster: Cluster, group: str) -> None:
    started = cluster.folder / "work/started"
    started.unlink(missing_ok=True)
    # Its child, too: the tracer of a script's layout must not keep either.
    script = "sleep 987654 & touch started; exec sleep 987654"
    job = cluster.run(
        *("sbatch", "--parsable", "-w", "n1", "--wrap"), f"srun --ksm=on {group} sh -c '{script}'"
    ).strip()
    wait_until(started.exists, "the step")
    cluster.run("scancel", f"{job}.0")
    assert cluster.ended(job).split()[0] in ("FAILED", "CANCELLED")
    left = ("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    wait_until(lambda: not re.search("sleep 987654|ksmrun-layout", cluster(*left).stdout), "end")


def places(cluster: Cluster, *options: str) -> list[str]:
    """Return where two tasks had their heap and stack."""
    done = cluster("srun", "-w", "n1", "-n2", "--label", *options, *PLACES)
    assert done.returncode == 0, done.stderr
    assert "not applied" not in done.stderr
    tasks = ["", ""]
    for line in done.stdout.splitlines():
        tasks[int(line[0])] += line[3:] + "\n"
    assert tasks[0].count("\n") == 2, done.stdout
    return tasks


def test_a_layout_is_one_users(cluster: Cluster, group: str) -> None:
    of_root, of_nobody = (
        places(cluster, group, *more) for more in ([], [f"--uid={NOBODY}", f"--gid={NOBODY}"])
    )
    assert of_root[0] == of_root[1]
    assert of_nobody[0] == of_nobody[1]
    assert of_root[0] != of_nobody[0]
    assert places(cluster, group) == of_root
    assert len(set(places(cluster, "--ksm=on"))) == 2
    assert len(set(places(cluster, group, "--ksm=off"))) == 2


def test_a_key_is_its_users_alone(cluster: Cluster, group: str) -> None:
    places(cluster, group, f"--uid={NOBODY}")
    shown = cluster.run("stat", "-c", "%a %u %s", f"/run/ksmrun/slurm/{NOBODY}-web.key")
    assert shown.split() == ["400", NOBODY, "32"]


def test_a_batch_script_has_it_too(cluster: Cluster, group: str) -> None:
    flag, output = cluster.folder / "flag", cluster.folder / "work/batch.txt"
    script = f"{flag}; echo $?; srun {flag}; echo $?; grep stack /proc/self/maps"
    said = []
    for _ in range(2):
        words = ("--parsable", "--wait", "-w", "n1", f"--output={output}", group, "--wrap", script)
        cluster.run("sbatch", *words)
        said.append(output.read_text())
    assert said[0].startswith("0\n0\n")
    assert said[0] == said[1]


def test_a_group_without_a_key(cluster: Cluster) -> None:
    done = cluster("srun", "-w", "n1", "--ksm-layout=none", cluster.folder / "flag")
    assert done.returncode == 0
    assert "group none has no key on this node" in done.stderr
    assert "`sudo ksmrun layout key none" in done.stderr
    required = ("srun", "-w", "n1", "--ksm=require", "--ksm-layout=none", "echo", "started")
    assert (cluster(*required).returncode, cluster(*required).stdout) == (125, "")


def test_a_key_that_others_can_read(cluster: Cluster) -> None:
    key = "/run/ksmrun/layout/units/open.key"
    cluster.run("sh", "-c", f"mkdir -p {Path(key).parent}; head -c 32 /dev/zero > {key}")
    done = cluster("srun", "-w", "n1", "--ksm-layout=open", "echo", "started")
    assert done.stdout == "started\n"
    assert "can be read by other users" in done.stderr


def test_a_launcher_that_is_missing(cluster: Cluster, group: str, tmp_path: Path) -> None:
    cluster.preset(f"libexec={tmp_path}")
    done = cluster("srun", "-w", "n1", group, cluster.folder / "flag")
    assert done.returncode == 0
    assert "ksmrun-slurm-task cannot be executed; the program starts anyway" in done.stderr


def test_the_environment_is_the_same(cluster: Cluster, group: str) -> None:
    """The layout brings its seeds; TaskProlog and limits come before ksmrun's last exec."""
    prolog = cluster.folder / "work/prolog.sh"
    prolog.write_text("#!/bin/sh\necho export FROM_PROLOG=yes\n")
    prolog.chmod(0o755)
    # What is another number in each job.
    own = re.compile(r"SLURM_(JOB_?ID|TASK_PID|\w*PORT)=|TMPDIR=|SLURM_JOB_NAME=")

    def names(*options: str) -> set[str]:
        words = ("srun", "-w", "n1", f"--task-prolog={prolog}", *options, "env", "-0")
        return {each for each in cluster.run(*words).split("\0") if not own.match(each)}

    assert "FROM_PROLOG=yes" in names()
    assert names() == names("--ksm=on")
    added = {each.split("=")[0] for each in names(group) - names()}
    seeds = {"PYTHONHASHSEED", "PERL_HASH_SEED", "PERL_PERTURB_KEYS"}
    assert added == {"LD_PRELOAD", "KSMRUN_SHIM", *seeds}
    assert names() - names(group) == set()


def test_arguments_are_the_same(cluster: Cluster, group: str) -> None:
    words = ("/usr/bin/printf", "%s|", "a b", "", "--", "-x", "\\n", "é")
    plain = cluster.run("srun", "-w", "n1", *words)
    assert cluster.run("srun", "-w", "n1", group, *words) == plain


def test_a_program_that_is_missing(cluster: Cluster, group: str) -> None:
    there = cluster("srun", "-w", "n1", "--ksm=on", "/no/such")
    assert (there.returncode, cluster("srun", "-w", "n1", group, "/no/such").returncode) == (2, 2)
    # A bare name is searched for by the launcher, whose exit code that is.
    assert cluster("srun", "-w", "n1", group, "no-such-program").returncode == 127


def test_an_array(cluster: Cluster) -> None:
    flag = cluster.folder / "flag"
    for options, code in (["--ksm=on"], "0"), ([], "1"):
        words = ("--parsable", "--wait", "-w", "n1", "--array=1-3", *options)
        output = f"--output={cluster.folder}/work/array-%a-{code}.txt"
        cluster.run("sbatch", *words, output, "--wrap", f"{flag}; echo $?")
        for each in (1, 2, 3):
            said = (cluster.folder / f"work/array-{each}-{code}.txt").read_text()
            assert said == f"{code}\n"


def test_the_task_prolog_of_sites_without_plugins(cluster: Cluster) -> None:
    prolog = cluster.folder / "work/taskprolog.sh"
    text = (EXAMPLES / "taskprolog.sh").read_text()
    prolog.write_text(text.replace("/usr/libexec/ksmrun", str(cluster.folder / "libexec")))
    prolog.chmod(0o755)
    (cluster.folder / "plugstack.conf").write_text("")
    words = ("srun", "-w", "n1", f"--task-prolog={prolog}", cluster.folder / "flag")
    assert cluster(*words).returncode == 1
    assert cluster(*words, environment={"KSM": "on"}).returncode == 0


def test_the_prolog_makes_keys_and_never_fails(cluster: Cluster) -> None:
    path = f"PATH={Path(sys.executable).parent}:"
    script = (EXAMPLES / "prolog.sh").read_text().replace("groups=web", "groups='made ../bad'")
    # Switching KSM on is what other tests do.
    script = script.replace("PATH=", path, 1).replace("ksmrun host on", "true")
    file = cluster.folder / "work/slurmprolog.sh"
    file.write_text(script)
    for _ in range(2):
        cluster.run("sh", file)
    key = "/run/ksmrun/layout/units/made.key"
    assert cluster.run("stat", "-c", "%a %s", key).split() == ["400", "32"]
    assert len(set(places(cluster, "--ksm-layout=made"))) == 1


@pytest.mark.parametrize(("code", "state"), [(0, "COMPLETED"), (1, "CANCELLED"), (3, "CANCELLED")])
def test_only_a_go_lets_the_next_job_run(cluster: Cluster, code: int, state: str) -> None:
    gate = cluster.run("sbatch", "--parsable", "-w", "n1", "--wrap", f"exit {code}").strip()
    after = ("--kill-on-invalid-dep=yes", f"--dependency=afterok:{gate}")
    job = cluster.run("sbatch", "--parsable", "-w", "n1", *after, "--wrap", "true").strip()
    assert cluster.ended(job).split()[0] == state


@pytest.fixture
def ksm_on(tmp_path: Path) -> Iterator[None]:
    with borrowed({"run": "1", "sleep_millisecs": "0", "pages_to_scan": "100000"}, tmp_path):
        yield


# Copies of the first are equal; those of the second have nothing in common.
EQUAL = "import time; block = bytearray(b'x' * (16 << 20)); time.sleep(999)"
DIFFERENT = "import os, time; block = bytearray(os.urandom(16 << 20)); time.sleep(999)"
GATE = "pss<=-10%"


def roll_out(cluster: Cluster, folder: Path, program: str, array: str) -> list[str]:
    """Queue A/B, gate and the next job, which touches FOLDER/next; return their numbers."""
    following = cluster.folder / "work/next.sh"
    following.write_text(f"#!/bin/sh\ntouch {folder}/next\nexec {cluster.folder}/flag\n")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/sbin:/sbin"
    measured = ("--ready-after", "0.5", "--hold", "1", "--stagger", "0", "--settle-max", "60")
    last = cluster.run(
        *(EXAMPLES / "rollout.sh", folder / "results", GATE, following),
        *("-n", "2", "--rounds", "2", *measured, "--", sys.executable, "-c", program),
        # One host has one KSM, so its three nodes take turns here.
        environment={"PATH": path, "KSM_ARRAY": f"{array}%1", "SBATCH_NODELIST": "n1"},
    )
    # Nothing else queues jobs meanwhile.
    return [str(int(last) - 2), str(int(last) - 1), last.strip()]


@pytest.mark.usefixtures("ksm_on")
@pytest.mark.parametrize(
    ("program", "array", "verdict"),
    [(EQUAL, "1-3", GO), (DIFFERENT, "1-3", STOP), (EQUAL, "1", UNSURE)],
    ids=(GO, STOP, UNSURE),
)
def test_a_roll_out(
    cluster: Cluster, tmp_path: Path, program: str, array: str, verdict: str
) -> None:
    """Pool three experiments of two rounds: one alone would not be enough for a verdict."""
    _, gate, following = roll_out(cluster, tmp_path, program, array)
    state = "COMPLETED" if verdict == GO else "CANCELLED"
    assert cluster.ended(following).split()[0] == state
    assert (tmp_path / "next").exists() == (verdict == GO)
    assert cluster.ended(gate).split()[1] == f"{EXIT_CODES[verdict]}:0"
    ksmrun = Path(sys.executable).with_name("ksmrun")
    said = cluster(ksmrun, "report", *tmp_path.glob("results-*"), "--gate", GATE)
    assert said.returncode == EXIT_CODES[verdict], said.stdout
    assert f"gate {GATE}, on: {verdict}, " in " ".join(said.stdout.split())


@pytest.mark.usefixtures("ksm_on")
def test_a_killed_experiment_is_no_go(cluster: Cluster, tmp_path: Path) -> None:
    program = f"from pathlib import Path; Path('{tmp_path}/runs').touch(); {EQUAL}"
    experiment, gate, following = roll_out(cluster, tmp_path, program, "1-2")
    wait_until((tmp_path / "runs").exists, "a copy")
    cluster.run("scancel", "--signal=KILL", "--full", f"{experiment}_1")
    for job in (gate, following):
        assert cluster.ended(job).split()[0] == "CANCELLED"
    assert not (tmp_path / "next").exists()
    cluster.run("scancel", experiment)
    left = ("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    wait_until(lambda: str(tmp_path) not in cluster(*left).stdout, "end of the copies")


def test_processes_are_told_by_job(cluster: Cluster) -> None:
    """This Slurm makes no cgroups, so the number is in the environment."""
    ksmrun, started = Path(sys.executable).with_name("ksmrun"), cluster.folder / "work/by-job"
    started.unlink(missing_ok=True)
    words = ("--parsable", "-w", "n1", "--ksm=on", "--wrap", "touch by-job; exec sleep 987653")
    job = cluster.run("sbatch", *words).strip()
    wait_until(started.exists, "the job")
    listed = cluster.run(ksmrun, "ps", "--by", "job", "--no-header")
    cluster.run("scancel", job)
    assert re.search(rf"^ *[12] +{job} ", listed, re.M), listed
