"""Pods on a real Kubernetes: they merge by one field, and nothing else about them changes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .cluster import PAUSE, Cluster, running
from .images import box, save
from .test_kubernetes_tools import tools

__all__ = ["tools"]

KSMRUN = Path(sys.executable).with_name("ksmrun")
CLASSES = Path(__file__).parents[2] / "examples/kubernetes/node/runtimeclass.yaml"
# The strictest level of Pod Security, and Guaranteed.
DEPLOYMENT = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      securityContext:
        runAsNonRoot: true
        runAsUser: 1000
        seccompProfile: {{type: RuntimeDefault}}
      terminationGracePeriodSeconds: 0
      containers:
        - name: server
          image: {PAUSE}
          resources: {{limits: {{cpu: 10m, memory: 16Mi}}}}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {{drop: [ALL]}}
"""
INSTALL = """
"$1" wrap install
"$1" wrap runtime containerd --config /etc/containerd/config.toml >>/etc/containerd/config.toml
systemctl restart containerd
"""
QUOTA = """
apiVersion: v1
kind: ResourceQuota
metadata: {name: limits}
spec: {hard: {pods: "2", limits.cpu: 20m, limits.memory: 32Mi}}
"""
WEB = "deployment/web"
LABEL = ("label", "--overwrite", "node", "n1", "ksmrun.io/ready=yes")
LOOK = ("grep", "-h", "any", "/proc/1/ksm_stat", "/proc/self/ksm_stat")


@pytest.fixture(scope="module")
def cluster(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a cluster of one node, which has the runtime but not yet the label."""
    folder = tmp_path_factory.mktemp("images")
    config = {"Entrypoint": ["sleep", "99999"], "Env": ["PATH=/bin"]}
    image = save(folder / "box.tar", PAUSE, box(folder / "box"), **config)
    with running(tools / "kubectl") as cluster:
        node = cluster.add_node(1, [image])
        node.run("sh", "-euc", INSTALL, "install", KSMRUN)
        cluster.apply(CLASSES.read_text())
        yield cluster


def wrapped(text: str, *options: str) -> str:
    done = subprocess.run(
        [KSMRUN, "wrap", "pod", "--by", "runtime-class", *options, "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def rolled_out(cluster: Cluster, namespace: str = "default") -> list[dict[str, Any]]:
    """Return the pods of the Deployment's present version, once they are ready."""
    status = ("rollout", "status", WEB, "--timeout=170s")
    cluster.kubectl(*status, f"--namespace={namespace}")
    sets = cluster.get("replicasets", "--selector=app=web", f"--namespace={namespace}")["items"]
    (present,) = (each for each in sets if each["spec"]["replicas"] == 2)
    label = f"pod-template-hash={present['metadata']['labels']['pod-template-hash']}"
    return cluster.pods(label, namespace)


@contextlib.contextmanager
def a_namespace(cluster: Cluster, name: str) -> Iterator[str]:
    cluster.kubectl("create", "namespace", name)
    try:
        yield f"--namespace={name}"
    finally:
        cluster.kubectl("delete", "namespace", name)


def merging(cluster: Cluster, pod: dict[str, Any]) -> str:
    """Return what the kernel says of the program, and of one executed beside it."""
    return cluster.kubectl("exec", pod["metadata"]["name"], "--", *LOOK).stdout


def test_a_deployment_merges_and_does_so_no_more(cluster: Cluster) -> None:
    cluster.apply(wrapped(DEPLOYMENT))
    # Without the label there is no node for them, instead of a sandbox that fails for ever.
    cluster.kubectl("wait", "--for=condition=PodScheduled=false", "pod", "--selector=app=web")
    cluster.kubectl(*LABEL)
    pods = rolled_out(cluster)
    assert [merging(cluster, pod) for pod in pods] == ["ksm_merge_any: yes\n" * 2] * 2
    for pod in pods:
        assert pod["status"]["qosClass"] == "Guaranteed"
    # Names are kubelet's; pause containers have no rows.
    shown = json.loads(cluster.nodes["n1"].ksmrun("ps", "--json"))["processes"]
    assert {(each["namespace"], each["pod_name"], each["container"]) for each in shown} == {
        ("default", name, f"default/{name}/server")
        for name in (pod["metadata"]["name"] for pod in pods)
    }
    # The original manifest ends it, and what undoes that begins it again.
    for change, said in ((("apply", "--filename=-"), "no"), (("rollout", "undo", WEB), "yes")):
        cluster.kubectl(*change, input=DEPLOYMENT)
        found = [merging(cluster, pod) for pod in rolled_out(cluster)]
        assert found == [f"ksm_merge_any: {said}\n" * 2] * 2
    cluster.kubectl("delete", WEB)


def test_a_quota_counts_what_it_counted(cluster: Cluster) -> None:
    """The class has no overhead of its own."""
    cluster.kubectl(*LABEL)
    with a_namespace(cluster, "bounded") as namespace:
        cluster.apply(QUOTA, namespace)
        cluster.apply(wrapped(DEPLOYMENT), namespace)
        rolled_out(cluster, "bounded")
        used = cluster.get("resourcequota", "limits", namespace)["status"]["used"]
    assert used == {"pods": "2", "limits.cpu": "20m", "limits.memory": "32Mi"}


def test_one_layout_in_one_namespace(cluster: Cluster) -> None:
    cluster.kubectl(*LABEL)
    file = "/run/ksmrun/layout/units/game.key"
    cluster.nodes["n1"].ksmrun("layout", "key", "game", "--output", file)
    text = wrapped(DEPLOYMENT, "--layout=shared", "--layout-group=game")
    found: list[list[str]] = []
    for name in ("shop", "test"):
        with a_namespace(cluster, name) as namespace:
            cluster.apply(text, namespace)
            for pod in rolled_out(cluster, name):
                maps = ("exec", pod["metadata"]["name"], namespace, "--", "cat", "/proc/1/maps")
                lines = cluster.kubectl(*maps).stdout.splitlines()
                # The program itself has fixed addresses.
                kernels = [each for each in lines if each.endswith(("[heap]", "[stack]", "[vdso]"))]
                found.append([each.partition("-")[0] for each in kernels])
    assert found[0] == found[1] and found[2] == found[3] and len(found[0]) == 3
    assert not set(found[0]) & set(found[2])
