"""A real Kubernetes on this host: control plane, and nodes with a kubelet and a containerd each.

All of it runs in PID, network and mount namespaces, where the files that it writes are its own. A
guard outside removes its cgroups and its folder when the tests have ended, however.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waiting import LAST_RESORT_SECONDS, wait_until

from .control_plane import SERVICE, make_certificates, start_control_plane

HERE = Path(__file__).parent
Done = subprocess.CompletedProcess[str]
PAUSE = "localhost/box:1"
# A cgroup outlives its processes, and a folder its users. Reads: folder, cgroup, the holder's PID.
GUARD = """
cat
kill -KILL "$3" 2>/dev/null
tail --pid="$3" -s 0.1 -f /dev/null
for made in /sys/fs/cgroup/*/"$2"; do
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        find "$made" -depth -type d -exec rmdir {} + 2>/dev/null && break
        sleep 0.5
    done
done
rm -rf --one-file-system "$1"
"""
HOLDER = f"""
mount -t proc proc /proc
ip link set lo up
ip address add {SERVICE}/32 dev lo
ip link add uplink type bridge
ip address add 192.0.2.1/24 dev uplink
ip link set uplink up
# kubelet looks for the address of the default route's interface.
ip route add default via 192.0.2.254
echo 1 >/proc/sys/net/ipv4/ip_forward
echo ready
exec tini -s -- sleep infinity
"""
# kubelet would write these of the host's, and does not where they have its values.
SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
# The node's own init, which the installer's nsenter finds as the host's. Reads: folder, cgroup.
NODE = """
mount -t proc proc /proc
mkdir -p "$1/sysctl"
for setting in $SYSCTLS; do
    file=$1/sysctl/$(echo "${setting%=*}" | tr / -)
    echo "${setting#*=}" >"$file"
    mount --bind "$file" "/proc/sys/${setting%=*}"
done
for place in etc usr/local var; do
    mkdir -p "$1/upper/$place" "$1/work/$place"
    own="upperdir=$1/upper/$place,workdir=$1/work/$place"
    mount -t overlay -o "lowerdir=/$place,$own" overlay "/$place"
done
mount -t tmpfs -o mode=755 tmpfs /run
# Each node's KSM, so that none of them switches the host's.
cp -r /sys/kernel/mm/ksm "$1/ksm"
echo 0 >"$1/ksm/run"
mount --bind "$1/ksm" /sys/kernel/mm/ksm
for place in containerd kubelet; do
    mkdir -p "$1/$place" "/var/lib/$place"
    mount --bind "$1/$place" "/var/lib/$place"
done
mount --make-shared /var/lib/kubelet
rm -rf /etc/containerd /etc/cni /var/lib/ksmrun /usr/local/libexec /var/log/containers /var/log/pods
cp -r "$1/etc/." /etc
mount --bind "$1/systemctl" /usr/bin/systemctl
for hierarchy in /sys/fs/cgroup/*/; do
    for made in "$hierarchy${2%/*}" "$hierarchy$2"; do
        mkdir -p "$made"
        # A new cpuset has no processors.
        for file in cpuset.cpus cpuset.mems; do
            [ ! -e "$hierarchy$file" ] || cat "$hierarchy$file" >"$made/$file"
        done
    done
done
# As a unit with Restart=always.
while :; do
    containerd >>"$1/containerd.log" 2>&1 &
    echo $! >/run/containerd.pid
    wait $! || :
    sleep 0.2
done &
echo ready
exec tini -s -- sleep infinity
"""
SYSTEMCTL = """#!/bin/sh
[ "$*" = "restart containerd" ] || exit 1
pid=$(cat /run/containerd.pid)
kill "$pid"
while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
"""
CONFIGURATION = f"""version = 2
[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "{PAUSE}"
    restrict_oom_score_adj = true
    disable_apparmor = true
    [plugins."io.containerd.grpc.v1.cri".containerd]
      snapshotter = "native"
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
      conf_dir = "/etc/cni/net.d"
"""


def kubelet_configuration(folder: Path, cgroup: str, ports: int) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": f"{folder}/ca.crt"},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "enforceNodeAllocatable": ["pods"],
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "resolvConf": "/dev/null",
        # The host's disk is not the cluster's.
        "evictionHard": {"memory.available": "1Mi"},
        "imageGCHighThresholdPercent": 100,
        "port": ports,
        "healthzPort": ports + 1,
        "syncFrequency": "5s",
    }


def bridge(number: int) -> dict[str, Any]:
    """Return the network of a node's pods."""
    subnet = f"10.244.{number}.0/24"
    plugin = {
        "type": "bridge",
        "bridge": f"cni{number}",
        "isGateway": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": subnet}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [plugin]}


def inside(holder: subprocess.Popen[str], depth: int) -> list[str]:
    """Return the command that enters the namespaces of a holder, so many children below."""
    assert holder.stdout is not None
    line = holder.stdout.readline()
    assert line == "ready\n", line
    pid = str(holder.pid)
    for _ in range(depth):
        (pid,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return ["nsenter", f"--target={pid}", "--mount", "--net", "--pid", "--wdns=/", "--"]


@dataclass
class Node:
    """kubelet and containerd. folder: its files. inside: the command that enters its namespaces."""

    name: str
    folder: Path
    cgroup: str
    inside: list[str]
    kubelet: list[str]
    log: Path

    def __call__(self, *words: str | Path, **options: Any) -> Done:
        options = {"timeout": LAST_RESORT_SECONDS, "stdin": subprocess.DEVNULL, **options}
        command = [*self.inside, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False, **options)

    def run(self, *words: str | Path, **options: Any) -> str:
        done = self(*words, **options)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def ksmrun(self, *words: str | Path) -> str:
        return self.run(Path(sys.executable).with_name("ksmrun"), *words)

    def start_kubelet(self) -> None:
        """Start kubelet in the background, in no cgroup of a pod's, as a unit with Restart=always.

        It ends, for example, where the engine is just restarting.
        """
        again = ["sh", "-c", 'while :; do "$@"; sleep 0.2; done', "again"]
        with self.log.open("a") as log:
            subprocess.Popen(
                [*self.inside, *again, *self.kubelet],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def import_image(self, file: Path) -> None:
        ctr = ("ctr", "--namespace=k8s.io", "images", "import", "--snapshotter=native", file)
        self.run(*ctr, timeout=600)


@dataclass
class Cluster:
    """Running cluster. programs: folder of Kubernetes' own; kubectl: a newer one."""

    folder: Path
    programs: Path
    kubectl_program: Path
    inside: list[str]
    cgroup: str
    nodes: dict[str, Node] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def daemon(self, name: str, *words: str | Path) -> None:
        with (self.folder / f"{name}.log").open("a") as log:
            command = [*self.inside, *map(str, words)]
            self.started.append(
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True
                )
            )

    def kubectl(self, *words: str | Path, check: bool = True, **options: Any) -> Done:
        command = [*self.inside, self.kubectl_program, f"--kubeconfig={self.folder}/admin.conf"]
        options = {"timeout": LAST_RESORT_SECONDS, **options}
        if "input" not in options:
            options["stdin"] = subprocess.DEVNULL
        environment = {**os.environ, "HOME": str(self.folder)}
        done = subprocess.run(
            [*map(str, command), *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            **options,
        )
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return done

    def get(self, *words: str) -> Any:
        """Return an object, or a list of them; None if it is not there."""
        done = self.kubectl("get", "--output=json", "--ignore-not-found", *words)
        return json.loads(done.stdout) if done.stdout else None

    def apply(self, text: str, *words: str) -> None:
        self.kubectl("apply", *words, "--filename=-", input=text)

    def pods(self, label: str, namespace: str = "default") -> list[dict[str, Any]]:
        """Return the pods that are not about to end."""
        found = self.get("pods", f"--namespace={namespace}", f"--selector={label}") or {"items": []}
        return [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]

    def add_node(self, number: int, images: list[Path]) -> Node:
        """Start a node, and wait until it is ready."""
        name, folder = f"n{number}", self.folder / f"n{number}"
        address, cgroup = f"192.0.2.{10 + number}", f"{self.cgroup}/{name}"
        etc = folder / "etc"
        for each in ("containerd", "cni/net.d"):
            (etc / each).mkdir(parents=True)
        (etc / "containerd/config.toml").write_text(CONFIGURATION)
        (etc / "cni/net.d/1.conflist").write_text(json.dumps(bridge(number)))
        (folder / "systemctl").write_text(SYSTEMCTL)
        (folder / "systemctl").chmod(0o755)
        settings = kubelet_configuration(self.folder, cgroup, 10300 + 10 * number)
        (folder / "kubelet.json").write_text(json.dumps(settings))
        subprocess.run(
            [*self.inside, "ip", "address", "add", f"{address}/24", "dev", "uplink"], check=True
        )
        apart = ["unshare", "--mount", "--propagation=private", "--pid", "--fork"]
        holder = subprocess.Popen(
            [*self.inside, *apart, "--kill-child=KILL", "sh", "-euc", NODE, name, folder, cgroup],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "SYSCTLS": " ".join(f"{k}={v}" for k, v in SYSCTLS.items())},
        )
        self.started.append(holder)
        kubelet = [
            str(self.programs / "kubelet"),
            f"--config={folder}/kubelet.json",
            f"--kubeconfig={self.folder}/admin.conf",
            f"--hostname-override={name}",
            f"--node-ip={address}",
            "--container-runtime=remote",
            "--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
            f"--pod-infra-container-image={PAUSE}",
        ]
        # Both nsenter and unshare fork.
        node = Node(name, folder, cgroup, inside(holder, 2), kubelet, folder / "kubelet.log")
        self.nodes[name] = node
        wait_until(lambda: node("ctr", "version").returncode == 0, "containerd")
        for image in images:
            node.import_image(image)
        node.start_kubelet()
        wait_until(lambda: self.is_ready(name), f"{name} is ready")
        return node

    def is_ready(self, name: str) -> bool:
        found = self.get("node", name) or {}
        conditions = found.get("status", {}).get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def build() -> Path:
    """Return the folder of Kubernetes' programs, which are built once."""
    done = subprocess.run(
        ["sh", HERE / "kubernetes.sh"], check=True, stdout=subprocess.PIPE, text=True
    )
    return Path(done.stdout.strip())


@contextlib.contextmanager
def running(kubectl: Path) -> Iterator[Cluster]:
    """Run a cluster without nodes."""
    programs = build()
    folder = Path(tempfile.mkdtemp(prefix="kube-"))
    # Pods of any user read what is mounted from it.
    folder.chmod(0o755)
    apart = ["unshare", "--mount", "--propagation=private", "--net", "--pid", "--fork"]
    holder = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *apart, "--kill-child=KILL", "sh", "-euc", HOLDER],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    cgroup = f"/ksmrun-{folder.name}"
    guard = subprocess.Popen(
        ["sh", "-c", GUARD, "guard", folder, cgroup.lstrip("/"), str(holder.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    cluster = Cluster(folder, programs, kubectl, [], cgroup)
    try:
        cluster.inside = inside(holder, 1)
        make_certificates(folder)
        start_control_plane(cluster)
        yield cluster
    finally:
        holder.kill()
        for process in (holder, *cluster.started):
            process.wait()
        # It has seen the end of its input.
        guard.communicate()
