"""Table of commands that only ask a daemon to start something."""

from __future__ import annotations

from dataclasses import dataclass

from ksmrun.model import wrap

LAUNCHER = f"{wrap.LAUNCHER} --"


@dataclass(frozen=True)
class Kind:
    """One such command. daemon: what starts the program; way: how to have it merged.

    starts: its subcommands that start something, separated by blanks; empty: all do. with_value:
    its options that take the next word. skip: options with which it starts the program itself, or
    nothing. elsewhere: options that name another host or machine, whose daemon is meant then.
    process: as in Client.
    """

    daemon: str
    way: str
    starts: str = ""
    with_value: str = ""
    skip: str = ""
    elsewhere: str = ""
    process: str | None = None


INSIDE = f"put {LAUNCHER} before the program"
JOB = f"{INSIDE} in the job itself"
RUNTIME = "sudo ksmrun wrap runtime"
DOCKER = Kind(
    "dockerd",
    f"{RUNTIME} docker, or ksmrun wrap compose FILE",
    "run start restart create exec up compose container service stack unpause",
    "-H --host -c --context -l --log-level --config",
    # dockerd or systemd starts it.
    process="containerd",
)
COMPOSE = Kind(
    "dockerd",
    "ksmrun wrap compose FILE",
    "run start restart create exec up unpause scale",
    "-f --file -p --project-name --env-file --profile --project-directory",
    process="containerd",
)
PODMAN = Kind(
    "a podman service",
    f"{RUNTIME} podman, where that service runs",
    "run start restart create exec container pod kube play",
    "-c --connection --url -H --host --identity --log-level",
)
CONTAINERD = Kind(
    "containerd",
    f"{RUNTIME} containerd",
    "run start exec restart create compose tasks task t containers container c runp",
    "-n --namespace -a --address --snapshotter -r --runtime-endpoint",
    process="containerd",
)
KUBERNETES = Kind(
    "Kubernetes",
    "rewrite the manifest: ksmrun wrap pod FILE",
    "run apply create replace rollout scale exec debug patch set edit install upgrade rollback",
    "-n --namespace --context --kubeconfig --kube-context --cluster --user -s --server",
)
# systemctl(1), systemd-run(1)
ELSEWHERE = "-H --host -M --machine"
LXD = Kind("its daemon", INSIDE, "launch start restart exec create init")
SUPERVISOR = Kind("the supervisor", f"{INSIDE} in the service's run script")
KINDS = {
    "docker": DOCKER,
    "docker-compose": COMPOSE,
    "podman-remote": PODMAN,
    **dict.fromkeys(("nerdctl", "ctr", "crictl"), CONTAINERD),
    **dict.fromkeys(("kubectl", "oc", "helm"), KUBERNETES),
    **dict.fromkeys(("lxc", "incus"), LXD),
    "virsh": Kind("libvirtd", "sudo ksmrun attach --match 'qemu.*GUEST'", "start create"),
    "machinectl": Kind(
        "systemd", "sudo ksmrun wrap unit --now systemd-nspawn@", "start shell enable"
    ),
    "systemctl": Kind(
        "systemd",
        "sudo ksmrun wrap unit --now NAME",
        "start restart try-restart reload-or-restart try-reload-or-restart enable reenable isolate",
        "-H --host -M --machine -t --type -p --property -s --signal",
        elsewhere=ELSEWHERE,
    ),
    "systemd-run": Kind(
        "systemd",
        INSIDE,
        with_value=f"{ELSEWHERE} -u --unit -p --property -E --setenv --description --slice --uid "
        "--gid --nice --working-directory --on-active --on-boot --on-calendar",
        skip="--scope",
        elsewhere=ELSEWHERE,
    ),
    "run0": Kind("systemd", INSIDE),
    "supervisorctl": Kind(
        "supervisord",
        f"put {LAUNCHER} before the command= of its section, or start supervisord by ksmrun run",
        "start restart update reload add",
        "-c --configuration -s --serverurl -u --username -p --password",
        process="supervisord",
    ),
    "circusctl": Kind(
        "circusd",
        f"{INSIDE} in circusd's file",
        "start restart add incr reload",
        "--endpoint",
        process="circusd",
    ),
    "monit": Kind(
        "monit", f"{INSIDE} in its start program =", "start restart", "-c -g", process="monit"
    ),
    **dict.fromkeys(("sv", "svc", "s6-svc", "s6-rc", "initctl", "dinitctl"), SUPERVISOR),
    # at(1) and crontab(1) also list, print and remove jobs.
    **dict.fromkeys(
        ("at", "batch"),
        Kind("atd", JOB, with_value="-f -q -t", skip="-l -r -d -c -V", process="atd"),
    ),
    "crontab": Kind(
        "cron",
        f"{INSIDE} in the line of the crontab",
        with_value="-u",
        skip="-l -r -T -V",
        process="cron",
    ),
    "nomad": Kind(
        "Nomad's agent",
        f"{INSIDE} in the task, or {RUNTIME} docker on its hosts",
        "job run start restart alloc exec",
        "-address -region -namespace -token",
        process="nomad",
    ),
    **dict.fromkeys(("srun", "sbatch"), Kind("slurmd", JOB, process="slurmd")),
}
