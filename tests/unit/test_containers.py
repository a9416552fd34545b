"""Names of containers, from trees as engines leave them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ksmrun.facts.containers import SPECS, container_name
from ksmrun.model.process import Container

ID = "5f2cd1b0deadbeef1234567890abcdef1234567890abcdef1234567890abcdef"
UID = "63b3ebfc-2890-11e9-8154-16bf8ef8d9dc"
SHORT = ID[:12]
CRI = {
    "io.kubernetes.cri.container-name": "app",
    "io.kubernetes.cri.sandbox-name": "web-0",
    "io.kubernetes.cri.sandbox-namespace": "shop",
}

PAUSED = {
    "io.kubernetes.cri.container-type": "sandbox",
    "io.kubernetes.cri.sandbox-namespace": "shop",
}


def keeper(root: Path, *words: str) -> Path:
    """Return the tree of PID 30 (a container's), below 20, below PID 10 with these arguments."""
    for pid, parent in ((30, 20), (20, 10), (10, 1), (1, 0)):
        folder = root / f"proc/{pid}"
        folder.mkdir(parents=True)
        (folder / "status").write_text(f"Name:\tx\nPid:\t{pid}\nPPid:\t{parent}\n")
        (folder / "cmdline").write_text("init\0")
    (root / "proc/10/cmdline").write_text("".join(f"{word}\0" for word in words))
    return root / "proc/10"


def shim(root: Path, spec: object) -> None:
    """Return containerd's shim, which works in the bundle of another container of the same pod."""
    bundles = root / "run/k8s.io"
    for name in ("sandbox", ID):
        (bundles / name).mkdir(parents=True)
    (bundles / ID / "config.json").write_text(json.dumps(spec))
    folder = keeper(root, "/usr/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", "x")
    (folder / "cwd").symlink_to(bundles / "sandbox")


def name(root: Path, engine: str = "containerd", pod: str | None = None) -> str:
    return container_name(Container(engine, ID, pod), 30, root)


def test_a_pod_by_the_names_of_its_logs(tmp_path: Path) -> None:
    logs = tmp_path / "var/log/containers"
    logs.mkdir(parents=True)
    (logs / f"web-0_shop_app-{ID}.log").symlink_to("nowhere")
    (logs / f"web-0_shop_app-{'0' * 64}.log").symlink_to("nowhere")
    assert name(tmp_path, pod=UID) == "shop/web-0/app"
    assert name(tmp_path) == SHORT


@pytest.mark.parametrize(
    ("called", "expected"), [("web", "web"), (f"k8s_app_web-0_shop_{UID}_0", "shop/web-0/app")]
)
def test_conmon(tmp_path: Path, called: str, expected: str) -> None:
    """As started by Podman and CRI-O."""
    keeper(tmp_path, "/usr/bin/conmon", "--api-version", "1", "-c", ID, "-u", ID, "-n", called)
    assert name(tmp_path, "podman") == expected


def test_the_conmon_of_another_container(tmp_path: Path) -> None:
    keeper(tmp_path, "/usr/bin/conmon", "-c", "0" * 64, "-n", "outer")
    assert name(tmp_path, "podman") == SHORT


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"annotations": CRI}, "shop/web-0/app"),
        ({"annotations": {**PAUSED, "io.kubernetes.cri.sandbox-name": "web-0"}}, "shop/web-0/POD"),
        ({"annotations": {"nerdctl/name": "web"}}, "web"),
        ({"annotations": None}, SHORT),
        ({"annotations": [], "mounts": {}}, SHORT),
        ({"mounts": [None, {"source": "/etc/hosts"}, {}]}, SHORT),
        ([], SHORT),
    ],
)
def test_a_bundle_of_containerd(tmp_path: Path, spec: object, expected: str) -> None:
    shim(tmp_path, spec)
    assert name(tmp_path) == expected


def test_docker_by_what_it_mounts(tmp_path: Path) -> None:
    """Whatever its data root is."""
    folder = tmp_path / "data/containers" / ID
    folder.mkdir(parents=True)
    (folder / "config.v2.json").write_text('{"ID": "x", "Name": "/game"}')
    shim(tmp_path, {"mounts": [{"source": "proc"}, {"source": str(folder / "hostname")}]})
    assert name(tmp_path, "docker") == "game"


def test_a_keeper_that_nobody_should_trust(tmp_path: Path) -> None:
    """A pipe, on which a reader would block, and a file that is not JSON."""
    shim(tmp_path, {})
    file = tmp_path / f"run/k8s.io/{ID}/config.json"
    file.write_bytes(b"\xff" + b"[" * 100_000)
    assert name(tmp_path) == SHORT
    file.unlink()
    os.mkfifo(file)
    assert name(tmp_path) == SHORT


def test_a_circle_of_parents_and_no_proc(tmp_path: Path) -> None:
    keeper(tmp_path, "x")
    (tmp_path / "proc/10/status").write_text("PPid:\t30\n")
    assert name(tmp_path) == SHORT
    assert name(tmp_path / "none") == SHORT


def test_names_that_the_user_gave() -> None:
    assert container_name(Container("lxc", "web"), 1) == "web"


@pytest.mark.parametrize("place", SPECS)
def test_where_nothing_keeps_it(tmp_path: Path, place: str) -> None:
    """Only root may look into the shim's folder, but the bundles may be readable."""
    file = tmp_path / place.format(ID)
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"annotations": CRI}))
    assert name(tmp_path) == "shop/web-0/app"
    for called, expected in (("app", "shop/web-0/app"), ("POD", "shop/web-0/POD")):
        cri_o = {"io.kubernetes.cri-o.Name": f"k8s_{called}_web-0_shop_{UID}_0"}
        file.write_text(json.dumps({"annotations": cri_o}))
        assert name(tmp_path, "cri-o") == expected


@pytest.mark.parametrize(
    ("called", "expected"), [("/game", "game"), (f"/k8s_POD_web-0_shop_{UID}_0", "shop/web-0/POD")]
)
def test_docker_by_its_own_folder(tmp_path: Path, called: str, expected: str) -> None:
    """A container in another's network mounts that one's files."""
    for folder in (tmp_path / "var/lib/docker/containers", tmp_path / "data/containers"):
        (folder / ID).mkdir(parents=True)
        (folder / ID / "config.v2.json").write_text(json.dumps({"Name": called}))
        if folder.parts[-2] == "data":
            file = tmp_path / "var/lib/docker/containers" / ID / "config.v2.json"
            file.unlink()
            shim(tmp_path, {"mounts": [{"source": str(folder / ("0" * 64) / "hosts")}]})
        assert name(tmp_path, "docker") == expected
