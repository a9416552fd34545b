"""examples/kubernetes on a real Kubernetes, by `kubectl apply -k`."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from tests.unit.test_report import Save, save

from .cluster import CONFIGURATION, PAUSE, Cluster, Node, running
from .images import box, product
from .images import save as save_image
from .test_kubernetes import DEPLOYMENT, wrapped
from .test_kubernetes_tools import tools

__all__ = ["save", "tools"]

EXAMPLES = Path(__file__).parents[2] / "examples"
NAME, TAG = "localhost/ksmrun", "0.1.0"
GATE = "localhost/ksmrun-with-kubectl:0.1.0"
SPACE = "--namespace=ksmrun"
GOOD, BLIND, DOWN = "n1", "n2", "n3"
# One whose CRI does not load with the new lines, although it can read them.
BROKEN = """#!/bin/sh
if [ $# = 0 ] && grep -q ksmrun /etc/containerd/config.toml; then
    echo started >>/run/broken
    printf 'version = 2\\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\\n' >/run/broken.toml
    set -- --config /run/broken.toml
fi
exec /usr/bin/containerd "$@"
"""
APP = wrapped(DEPLOYMENT.replace("runAsUser: 1000", "runAsUser: 65534"))
VOLUME = """
apiVersion: v1
kind: PersistentVolume
metadata: {{name: results}}
spec:
  capacity: {{storage: 1Mi}}
  accessModes: [ReadOnlyMany]
  hostPath: {{path: {path}, type: Directory}}
  claimRef: {{namespace: ksmrun, name: ksmrun-results}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: ksmrun-results, namespace: ksmrun}}
spec:
  accessModes: [ReadOnlyMany]
  storageClassName: ""
  resources: {{requests: {{storage: 1Mi}}}}
"""


def configuration(node: Node) -> str:
    return node.run("cat", "/etc/containerd/config.toml")


# What kubelet, containerd and the network's plugins keep for themselves.
THEIRS = ("var/log/", "var/lib/cni/", "var/lib/kubelet/", "var/lib/containerd/")


def changed(node: Node) -> dict[str, str]:
    """Return what differs from the host below /etc, /usr/local and /var, and KSM's tunables."""
    found = {}
    for top in (node.folder / "upper", node.folder / "ksm"):
        for path in top.rglob("*"):
            name = str(path.relative_to(top))
            if name.startswith(THEIRS) or (path.is_dir() and any(path.iterdir())):
                continue
            about = path.lstat()
            # A tunable is written without a line feed.
            what = hashlib.sha256(path.read_bytes().strip()).hexdigest() if path.is_file() else ""
            found[name] = f"{about.st_mode:o} {about.st_uid} {what}"
    return found


@dataclass
class Installed:
    """A cluster with node/ applied.

    before: each node's configuration of containerd; files: what changed() told of it.
    """

    cluster: Cluster
    place: Path
    before: dict[str, str] = field(default_factory=dict)
    files: dict[str, dict[str, str]] = field(default_factory=dict)

    def labels(self, node: str) -> dict[str, str]:
        labels: dict[str, str] = self.cluster.get("node", node)["metadata"]["labels"]
        return {key: value for key, value in labels.items() if key.startswith("ksmrun.io/")}

    def pod(self, part: str, node: str) -> dict[str, Any]:
        """Return the pod of a DaemonSet on a node; empty if there is none."""
        pods = self.cluster.pods(f"app.kubernetes.io/name=ksmrun-{part}", "ksmrun")
        return next((each for each in pods if each["spec"].get("nodeName") == node), {})

    def said(self, node: str) -> str:
        """Return what the installer said when it last failed."""
        for each in self.pod("installer", node).get("status", {}).get("containerStatuses", []):
            for state in (each["state"], each["lastState"]):
                if "terminated" in state:
                    return str(state["terminated"].get("message", ""))
        return ""

    def is_ready(self, part: str, node: str) -> bool:
        statuses = self.pod(part, node).get("status", {}).get("containerStatuses", [])
        return bool(statuses) and all(each["ready"] for each in statuses)


@pytest.fixture(scope="module")
def images(tools: Path) -> Iterator[list[Path]]:
    """Return the files of the images, which are large; the last is the gate's."""
    config = {"Entrypoint": ["sleep", "99999"], "Env": ["PATH=/bin"]}
    path = "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    own = {"Entrypoint": ["ksmrun"], "Env": [path]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with_kubectl = product(folder / "gate", "scipy")
        shutil.copy(tools / "kubectl", with_kubectl / "usr/local/bin/kubectl")
        yield [
            save_image(folder / "box.tar", PAUSE, box(folder / "box"), **config),
            save_image(folder / "own.tar", f"{NAME}:{TAG}", product(folder / "own"), **own),
            save_image(folder / "gate.tar", GATE, with_kubectl, **own),
        ]


@pytest.fixture(scope="module")
def installed(
    tools: Path, images: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    place = tmp_path_factory.mktemp("examples") / "kubernetes"
    shutil.copytree(EXAMPLES / "kubernetes", place)
    file = place / "node/kustomization.yaml"
    text = file.read_text().replace("registry.example/ksmrun", NAME)
    assert f"newTag: {TAG}" in text
    file.write_text(text)
    with running(tools / "kubectl") as cluster:
        for number in (1, 2, 3):
            cluster.add_node(number, images[: 3 if number == 1 else 2])
        blind, down = cluster.nodes[BLIND], cluster.nodes[DOWN]
        write = ("sh", "-euc", 'cat >"$1"; chmod "$2" "$1"', "write")
        config = "/etc/containerd/config.toml"
        imports = 'imports = ["/etc/containerd/own.toml"]\nversion = 2\n'
        # containerd takes a plugin's table from the last file that has it.
        blind.run(*write, "/etc/containerd/own.toml", "644", input=CONFIGURATION, stdin=None)
        blind.run(*write, config, "644", input=imports, stdin=None)
        blind.run("systemctl", "restart", "containerd")
        down.run(*write, "/usr/local/bin/containerd", "755", input=BROKEN, stdin=None)
        down.run("systemctl", "restart", "containerd")
        installed = Installed(cluster, place)
        wait_until(lambda: all(map(cluster.is_ready, cluster.nodes)), "nodes")
        installed.before = {name: configuration(node) for name, node in cluster.nodes.items()}
        installed.files = {name: changed(node) for name, node in cluster.nodes.items()}
        cluster.kubectl("apply", "-k", place / "node")
        yield installed


def test_only_a_node_where_a_pod_merged_is_labelled(installed: Installed) -> None:
    cluster = installed.cluster
    wait_until(lambda: installed.labels(GOOD) == {"ksmrun.io/ready": "yes"}, "label")
    said = "containerd does not see the lines added to"
    wait_until(lambda: said in installed.said(BLIND), "refusal")
    said = "was put back, as with the new lines CRI did not come up; it is up again; to try again,"
    wait_until(lambda: said in installed.said(DOWN), "rollback")
    assert cluster.nodes[DOWN].run("cat", "/run/broken") == "started\n"
    for name in (BLIND, DOWN):
        assert installed.labels(name) == {}
        assert configuration(cluster.nodes[name]) == installed.before[name]
        wait_until(lambda name=name: cluster.is_ready(name), name)  # type: ignore[misc]
    # No test pod is left, and there was none on the others.
    wait_until(lambda: not cluster.pods("app.kubernetes.io/name=ksmrun-test", "ksmrun"), "end")


def test_pods_merge_and_the_monitor_names_them(installed: Installed) -> None:
    cluster = installed.cluster
    cluster.apply(APP)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=170s")
    pods = cluster.pods("app=web")
    assert {pod["spec"]["nodeName"] for pod in pods} == {GOOD}
    names = {pod["metadata"]["name"] for pod in pods}
    wait_until(lambda: installed.is_ready("monitor", GOOD), "monitor")
    assert not installed.pod("monitor", BLIND) and not installed.pod("monitor", DOWN)
    address = installed.pod("monitor", GOOD)["status"]["podIP"]
    page = ("wget", "-q", "-O", "-", f"http://{address}:9739/metrics")

    def series() -> set[tuple[str, ...]]:
        """Return command, container, namespace and pod of each; there are no other labels set."""
        text = cluster.kubectl("exec", min(names), "--", *page).stdout
        lines = re.findall(r"^ksmrun_processes\{(.*)\} 1\.0$", text, re.M)
        return {tuple(sorted(re.findall(r'\w+="[^"]+"', line))) for line in lines}

    # Pods in the strictest security context, and no pause containers.
    expected = {
        (
            'command="sleep"',
            f'container="default/{name}/server"',
            'namespace="default"',
            f'pod="{name}"',
        )
        for name in names
    }
    wait_until(lambda: series() == expected, "series")
    assert (cluster.nodes[GOOD].folder / "ksm/run").read_text().strip() == "1"


def restart_kubelet(node: Node) -> None:
    pid = node.run("pidof", "-s", node.kubelet[0]).strip()
    node.run("kill", pid)
    wait_until(
        lambda: node("pidof", "-s", node.kubelet[0]).stdout.strip() not in ("", pid), "the next"
    )


def test_restarts_in_between(installed: Installed) -> None:
    cluster = installed.cluster
    node = cluster.nodes[GOOD]
    cluster.apply(APP)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=170s")
    before = {pod["metadata"]["uid"] for pod in cluster.pods("app=web")}
    restart_kubelet(node)
    node.run("systemctl", "restart", "containerd")
    cluster.kubectl("scale", "deployment/web", "--replicas=3")
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=170s")
    pods = cluster.pods("app=web")
    assert before < {pod["metadata"]["uid"] for pod in pods}
    for pod in pods:
        assert all(each["restartCount"] == 0 for each in pod["status"]["containerStatuses"])
        look = ("grep", "any", "/proc/1/ksm_stat", "/proc/self/ksm_stat")
        text = cluster.kubectl("exec", pod["metadata"]["name"], "--", *look).stdout
        assert text.count("yes") == 2
    assert installed.labels(GOOD) == {"ksmrun.io/ready": "yes"}


@pytest.mark.parametrize(
    ("saved", "rounds", "code"),
    [(0.85, 30, 0), (0.0, 30, 1), (0.85, 2, 3)],
    ids=["go", "stop", "not sure"],
)
def test_the_gate(installed: Installed, save: Save, saved: float, rounds: int, code: int) -> None:
    cluster = installed.cluster
    results = cluster.folder / "results"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir()
    shutil.copytree(save("one", rounds=rounds, saved=saved), results / "one")
    cluster.apply(VOLUME.format(path=results))
    text = (EXAMPLES / "fleets/kubernetes.yaml").read_text()
    text = text.replace("registry.example/ksmrun-with-kubectl:0.1.0", GATE)
    for each in (BLIND, DOWN):
        cluster.kubectl("label", "--overwrite", "node", each, "ksmrun.io/next=yes")
        # Only one has the image.
        cluster.kubectl("cordon", each)
    # This Kubernetes does not know podFailurePolicy, and retries a "stop", too.
    cluster.apply(text, "--validate=false")

    def codes() -> list[int]:
        states = [
            each["state"]
            for pod in cluster.pods("job-name=ksmrun-gate", "ksmrun")
            for each in pod["status"].get("containerStatuses", [])
        ]
        return [each["terminated"]["exitCode"] for each in states if "terminated" in each]

    try:
        # Asked again, as long as it is not a "go".
        wait_until(lambda: len(codes()) >= (1 if code == 0 else 2), "verdict")
        assert set(codes()) == {code}
        told = {each: installed.labels(each).get("ksmrun.io/install") for each in cluster.nodes}
        expected = "yes" if code == 0 else None
        assert told == {GOOD: None, BLIND: expected, DOWN: expected}
    finally:
        cluster.kubectl("delete", "--filename=-", input=text)
        cluster.kubectl("delete", "--filename=-", input=VOLUME.format(path=results))
        for each in (BLIND, DOWN):
            cluster.kubectl("label", "node", each, "ksmrun.io/next-", "ksmrun.io/install-")
            cluster.kubectl("uncordon", each)


def test_removal_leaves_nothing(installed: Installed) -> None:
    """Of any node's files; but first it waits for the pods that need the runtime."""
    cluster = installed.cluster
    cluster.apply(APP)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=170s")
    noted = "var/lib/ksmrun/peaks.json"
    wait_until(lambda: noted in changed(cluster.nodes[GOOD]), "map counts of the monitor")
    cluster.kubectl("apply", "-k", installed.place / "remove")
    wait_until(lambda: "run by the runtime; roll them out without" in installed.said(GOOD), "wait")
    assert installed.labels(GOOD) == {}
    assert "ksmrun: begin" in configuration(cluster.nodes[GOOD])
    cluster.kubectl("delete", "deployment/web")

    def is_done(node: str) -> bool:
        name = installed.pod("installer", node).get("metadata", {}).get("name", "none")
        said = cluster.kubectl("logs", SPACE, name, check=False).stdout
        is_off = f"{node} has the runtime no more" in said
        return is_off and installed.is_ready("monitor", node)

    for name in cluster.nodes:
        wait_until(lambda name=name: is_done(name), name)  # type: ignore[misc]
    cluster.kubectl("delete", "-k", installed.place / "node")
    wait_until(lambda: cluster.get("namespace", "ksmrun") is None, "end of the namespace")
    for name, node in cluster.nodes.items():
        assert changed(node) == installed.files[name]
        assert node.run("find", "/run", "-name", "*ksmrun*") == ""
        assert installed.labels(name) == {} and cluster.is_ready(name)
