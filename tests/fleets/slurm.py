"""Slurm's own daemons on this host: a controller and three nodes, in namespaces of their own.

Nodes are named n1 to n3. To the plugin on n2 the kernel has the number of one that loses the merge
flag at exec, as a distribution's that has the correction; on n3 the flag cannot be set.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compiled import NATIVE, compile_to
from waiting import LAST_RESORT_SECONDS, wait_until

from ksmrun.facts.launcher import launcher_path

PROGRAMS = Path(__file__).parent.parent / "integration/programs"
NODES = ("n1", "n2", "n3")
CONFIGURATION = """
ClusterName=fleet
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU,CR_Pack_Nodes
SlurmdParameters=config_overrides
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmctldPort=26817
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/%n
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
PlugStackConfig={folder}/plugstack.conf
SchedulerParameters=sched_interval=1,batch_sched_delay=0
DependencyParameters=kill_invalid_depend
KillWait=1
{more}
NodeName=n[1-3] NodeHostname={host} NodeAddr=127.0.0.1 Port=[26821-26823] CPUs=8
PartitionName=all Nodes=n[1-3] Default=YES
"""
# Nothing of Slurm's, and no key, is seen outside of the namespaces or outlives them.
HOLDER = """
mount -t proc proc /proc
mkdir -p /run/ksmrun && mount -t tmpfs -o mode=755 tmpfs /run/ksmrun
ip link set lo up
# Slurm binds only where an address is not of 127.0.0.0/8 (getaddrinfo(3): AI_ADDRCONFIG).
ip address add 192.0.2.1/32 dev lo
echo ready
exec sleep infinity
"""


@dataclass(frozen=True)
class Cluster:
    """Running cluster. inside: the command that enters its namespaces."""

    folder: Path
    inside: tuple[str, ...]

    def __call__(self, *words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command of the cluster's user."""
        environment = {"PATH": os.environ["PATH"], "SLURM_CONF": str(self.folder / "slurm.conf")}
        options = {"timeout": LAST_RESORT_SECONDS, "cwd": self.folder / "work", **options}
        return subprocess.run(
            [*self.inside, *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            env={**environment, **options.pop("environment", {})},
            **options,
        )

    def run(self, *words: str | Path, **options: Any) -> str:
        """Return what it wrote to stdout; a failure shows all its output."""
        done = self(*words, **options)
        assert done.returncode == 0, (words, done.stdout, done.stderr, self.logs())
        return done.stdout

    def logs(self) -> str:
        """Return the ends of the daemons' logs."""
        logs = [self.folder / f"{name}.log" for name in ("slurmctld", *NODES)]
        return "\n".join(each.read_text()[-2000:] for each in logs if each.exists())

    def preset(self, *words: str) -> None:
        """Write plugstack.conf, which each command and job step reads."""
        plugin = self.folder / "plugin/ksmrun.so"
        options = " ".join([f"libexec={self.folder}/libexec", *words])
        (self.folder / "plugstack.conf").write_text(f"required {plugin} {options}\n")

    def ended(self, job: str) -> str:
        """Wait for a job of sbatch, and return its state and exit code."""

        def state() -> dict[str, str]:
            shown = self.run("scontrol", "show", "job", "--oneliner", job).splitlines()[0]
            return dict(word.split("=", 1) for word in shown.split() if "=" in word)

        running = ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING")
        wait_until(lambda: state()["JobState"] not in running, f"end of job {job}")
        return f"{state()['JobState']} {state()['ExitCode']}"


def build_plugin(tree: Path) -> None:
    """Build the plugin against the Slurm that is installed here."""
    configure = ("cmake", "-S", NATIVE / "slurm", "-B", tree, "-G", "Ninja", "-DKSMRUN_WERROR=ON")
    for command in (configure, ("cmake", "--build", tree)):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def running(folder: Path, more: str = "") -> Iterator[Cluster]:
    """Run a cluster in this folder. more: lines of slurm.conf."""
    folder.chmod(0o755)
    for name in ("state", "libexec", "work", *NODES):
        (folder / name).mkdir()
    # Jobs of any user write their output there.
    (folder / "work").chmod(0o1777)
    for name in ("flag", "deny", "lose", "see"):
        compile_to(folder / name, ["gcc", "-O1", PROGRAMS / f"{name}.c"])
    release = Path(__file__).with_name("release.c")
    compile_to(folder / "release.so", ["gcc", "-O1", "-shared", "-fPIC", release])
    build_plugin(folder / "plugin")
    libexec = launcher_path().parent
    shutil.copy(libexec / "ksmrun-exec", folder / "libexec/ksmrun-exec")
    shutil.copytree(libexec / "shim", folder / "libexec/shim", symlinks=True)
    shutil.copy(folder / "plugin/ksmrun-slurm-task", folder / "libexec/ksmrun-slurm-task")
    text = CONFIGURATION.format(host=socket.gethostname(), folder=folder, more=more)
    (folder / "slurm.conf").write_text(text)
    namespaces = ("--mount", "--net", "--pid", "--fork", "--kill-child=KILL")
    holder = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, "sh", "-euc", HOLDER],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
        target = f"--target={children[0]}"
        inside = ("nsenter", target, "--mount", "--net", "--pid", f"--wdns={folder}/work", "--")
        cluster = Cluster(folder, inside)
        cluster.preset()
        cluster.run("slurmctld", "-i")
        for node in NODES:
            denied = (folder / "deny", "22") if node == "n3" else ()
            older = {"LD_PRELOAD": f"{folder}/release.so", "RELEASE": "6.5.0"}
            environment = older if node == "n2" else {}
            cluster.run(*denied, "/usr/sbin/slurmd", "-N", node, environment=environment)
        states = ("sinfo", "--noheader", "--Node", "--format=%T")
        wait_until(lambda: cluster(*states).stdout.split() == ["idle"] * 3, "idle nodes")
        yield cluster
    finally:
        holder.kill()
        holder.wait()
