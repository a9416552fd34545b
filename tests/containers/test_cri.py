"""Pods of the runtime `ksmrun` as kubelet starts them: through CRI, on a real containerd."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS, wait_until

from ksmrun.model.container import RuntimeEngine as Engine

from .conftest import daemon, find_process, group_with_key, merges, parts, printed, run, seen_by_ps
from .cri import Cri, Pod

# The client's library is fetched.
pytestmark = pytest.mark.long_run

IMAGE = "localhost/pause:latest"
CONFIGURATION = f"""version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{IMAGE}"
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
"""
# What kubelet makes of runAsNonRoot with a user and a group, readOnlyRootFilesystem,
# allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, seccompProfile: RuntimeDefault.
STRICTEST = {1: {2: ["ALL"]}, 5: {1: 65534}, 12: {1: 65534}, 7: 1, 11: 1, 15: {1: 0}}
NOBODY = """Uid:\t65534\t65534\t65534\t65534
CapBnd:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t2
"""
LOOK = ("grep", "any", "/proc/self/ksm_stat")
YES, NO = "ksm_merge_any: yes\n", "ksm_merge_any: no\n"


@dataclass
class Node:
    """containerd, and the pods that were started. state: its folder. parent: of their cgroups."""

    cri: Cri
    state: Path
    parent: str
    pods: list[Pod] = field(default_factory=list)

    def pod(self, handler: str, namespace: str = "shop", **annotations: str) -> Pod:
        told = {f"ksmrun.{key.replace('_', '-')}": value for key, value in annotations.items()}
        name = f"web-{len(self.pods)}"
        self.pods.append(self.cri.run_pod(namespace, name, self.parent, handler, told))
        return self.pods[-1]


@pytest.fixture(scope="module")
def node(folder: Path, oci: Path, root: Path) -> Iterator[Node]:
    place = folder / "cri"
    place.mkdir()
    file, socket = place / "config.toml", place / "s"
    file.write_text(CONFIGURATION)
    file.write_text(CONFIGURATION + printed(Engine.CONTAINERD, oci, "--config", str(file)))
    command: list[str | Path] = ["containerd", f"--config={file}"]
    command += [f"--root={place}/root", f"--state={place}/state", f"--address={socket}"]
    ctr = ("ctr", "--address", socket, "--namespace=k8s.io")
    parent = f"/ksmrun-test-{uuid.uuid4().hex[:8]}"
    with daemon(command, place / "log", lambda: run(*ctr, "version").returncode == 0):
        tar, image = place / "box.tar", place / "image.tar"
        subprocess.run(["tar", "-C", root, "-cf", tar, "."], check=True)
        podman = ["podman", f"--root={place}/pr", f"--runroot={place}/pp", "--storage-driver=vfs"]
        changes = ('--change=ENTRYPOINT ["sleep", "9999"]', "--change=ENV PATH=/bin")
        assert run(*podman, "import", *changes, tar, IMAGE).returncode == 0
        assert run(*podman, "save", "--format=oci-archive", "-o", image, IMAGE).returncode == 0
        done = run(*ctr, "images", "import", "--snapshotter=native", image)
        assert done.returncode == 0, done.stderr
        node = Node(Cri(socket), place / "state", parent)
        yield node
        for pod in node.pods:
            node.cri.remove(pod)
    for made in Path("/sys/fs/cgroup").glob(f"**{parent}"):
        for each in (*made.glob("pod*"), made):
            with contextlib.suppress(FileNotFoundError):
                each.rmdir()


@pytest.mark.parametrize(("handler", "expected"), [("ksmrun", YES), ("runc", NO), ("", NO)])
def test_the_handler_decides(node: Node, handler: str, expected: str, seconds: str) -> None:
    """Also for commands that are executed later."""
    container = node.cri.start(node.pod(handler), "app", IMAGE, "sleep", seconds)
    assert node.cri.execute(container, *LOOK) == (0, expected)
    assert merges(find_process(seconds)) is (expected == YES)
    assert node.cri.execute(container, "sh", "-c", "exit 7") == (7, "")
    # By this, examples/kubernetes/node/installer.py knows which containers need the runtime.
    bundle = node.state / "io.containerd.runtime.v2.task/k8s.io" / container / "config.json"
    assert ("ksmrun.wrapped" in bundle.read_text()) is (expected == YES)


def test_in_the_strictest_security_context(node: Node, seconds: str) -> None:
    security, pod = STRICTEST, node.pod("ksmrun")
    container = node.cri.start(pod, "app", IMAGE, "sleep", seconds, security=security)
    assert node.cri.execute(container, *LOOK) == (0, YES)
    assert merges(find_process(seconds))
    what = "^(Uid|CapBnd|NoNewPrivs|Seccomp):"
    assert node.cri.execute(container, "grep", "-E", what, "/proc/1/status") == (0, NOBODY)
    code, _ = node.cri.execute(container, "sh", "-c", "echo >/tmp/file")
    assert code != 0


def test_a_handler_that_is_missing(node: Node) -> None:
    """As on a node without the runtime: kubelet says FailedCreatePodSandBox again and again."""
    with pytest.raises(Exception, match='no runtime for "other" is configured'):
        node.pod("other")


def test_by_request(node: Node, seconds: str) -> None:
    for told, expected in (({"merge": "on"}, YES), ({}, NO)):
        pod = node.pod("ksmrun-by-request", **told)
        container = node.cri.start(pod, "app", IMAGE, "sleep", seconds)
        assert node.cri.execute(container, *LOOK) == (0, expected)


def test_ps_names_namespace_pod_and_container(node: Node, seconds: str) -> None:
    pod = node.pod("ksmrun")
    node.cri.start(pod, "app", IMAGE, "sleep", seconds)
    row = seen_by_ps(find_process(seconds))
    name, uid = pod.config[1][1], pod.config[1][2]
    assert (row["namespace"], row["pod_name"], row["pod"]) == ("shop", name, uid)
    assert (row["engine"], row["container"]) == ("containerd", f"shop/{name}/app")
    # Nor is there a row for its pause container.
    shown = run(Path(sys.executable).with_name("ksmrun"), "ps", "--json").stdout
    mine = [each for each in json.loads(shown)["processes"] if each["pod"] == uid]
    assert [each["container"] for each in mine] == [f"shop/{name}/app"]


def test_metrics_name_namespace_pod_and_container(node: Node, seconds: str, tmp_path: Path) -> None:
    pod = node.pod("ksmrun", "market")
    node.cri.start(pod, "app", IMAGE, "sleep", seconds)
    find_process(seconds)
    ksmrun = Path(sys.executable).with_name("ksmrun")
    command: list[str | Path] = [
        ksmrun,
        "monitor",
        "--interval=1",
        f"--textfile={tmp_path}",
        "--by-pid",
    ]
    with (tmp_path / "log").open("w") as log:
        monitor = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    file = tmp_path / "ksmrun.prom"
    try:
        wait_until(lambda: file.exists() and "market" in file.read_text(), "its series")
        shown = file.read_text()
    finally:
        monitor.terminate()
        assert monitor.wait(timeout=LAST_RESORT_SECONDS) == 0, (tmp_path / "log").read_text()
    name = pod.config[1][1]
    lines = [line for line in shown.splitlines() if 'namespace="market"' in line]
    assert lines
    for line in lines:
        # Nor is there a series for its pause container.
        assert f'pod="{name}"' in line and f'container="market/{name}/app"' in line, line


def test_one_layout_in_one_namespace(node: Node) -> None:
    """Two pods of one group have equal addresses, and those of another namespace others."""

    def addresses(group: str, namespace: str) -> tuple[int, ...]:
        pod = node.pod("ksmrun", namespace, layout="shared", layout_group=group)
        container = node.cri.start(pod, "app", IMAGE, "sleep", "9999")
        code, text = node.cri.execute(container, "where")
        assert code == 0, text
        return parts(text)

    with group_with_key() as group:
        first, second = addresses(group, "shop"), addresses(group, "shop")
        other = addresses(group, "test")
    assert first == second
    assert not set(first) & set(other)
