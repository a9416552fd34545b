"""Pods on a real Kubernetes: they merge by one field, and nothing else about them changes."""

from __future__ import annotations

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


def wrapped(text: str) -> str:
    done = subprocess.run(
        [KSMRUN, "wrap", "pod", "--by", "runtime-class", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def roll_out(cluster: Cluster, text: str) -> list[dict[str, Any]]:
    """Apply the Deployment, and return its new pods."""
    cluster.apply(text)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=170s")
    sets = cluster.get("replicasets", "--selector=app=web")["items"]
    (present,) = (each for each in sets if each["spec"]["replicas"] == 2)
    return cluster.pods(f"pod-template-hash={present['metadata']['labels']['pod-template-hash']}")


def merging(cluster: Cluster, pod: dict[str, Any]) -> str:
    """Return what the kernel says of the program, and of one executed beside it."""
    return cluster.kubectl("exec", pod["metadata"]["name"], "--", *LOOK).stdout


def test_a_deployment_merges_and_does_so_no_more(cluster: Cluster) -> None:
    cluster.apply(wrapped(DEPLOYMENT))
    # Without the label there is no node for them, instead of a sandbox that fails for ever.
    cluster.kubectl("wait", "--for=condition=PodScheduled=false", "pod", "--selector=app=web")
    cluster.kubectl("label", "node", "n1", "ksmrun.io/ready=yes")
    pods = roll_out(cluster, wrapped(DEPLOYMENT))
    assert [merging(cluster, pod) for pod in pods] == ["ksm_merge_any: yes\n" * 2] * 2
    for pod in pods:
        assert pod["status"]["qosClass"] == "Guaranteed"
    # Names are kubelet's; pause containers have no rows.
    shown = json.loads(cluster.nodes["n1"].ksmrun("ps", "--json"))["processes"]
    assert {(each["namespace"], each["pod_name"], each["container"]) for each in shown} == {
        ("default", name, f"default/{name}/server")
        for name in (pod["metadata"]["name"] for pod in pods)
    }
    pods = roll_out(cluster, DEPLOYMENT)
    assert [merging(cluster, pod) for pod in pods] == ["ksm_merge_any: no\n" * 2] * 2
