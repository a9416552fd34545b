"""examples/kubernetes: the newest schemas, what the files have to agree on, and the installer."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ksmrun.model.wrap import LOCAL, OCI_RUNTIME
from ksmrun.wrap.containerd import BEGIN, END, lines_for
from ksmrun.wrap.pod import rewrite
from ksmrun.wrap.pod_class import by_class
from ksmrun.wrap.pod_kinds import POD_PATHS

EXAMPLES = next(
    each / "examples" for each in Path(__file__).parents if (each / "pyproject.toml").is_file()
)
FOLDER = EXAMPLES / "kubernetes"
# Of controllers that bring their own schemas.
FOREIGN = ("monitoring.coreos.com", "kustomize.config.k8s.io")


def manifests(file: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(file.read_text()) if each]


def validate(document: dict[str, Any]) -> None:
    newest = kubernetes_validate.latest_version()
    kubernetes_validate.validate(document, newest, strict=True)


def one(kind: str, name: str, file: str) -> Any:
    found = manifests(FOLDER / "node" / file)
    return next(each for each in found if (each["kind"], each["metadata"]["name"]) == (kind, name))


# What belongs to Helm is no manifest: a plugin, and the chart.
HELM = ("helm", "templates", "Chart.yaml", "values.yaml")
FILES = sorted(file for file in FOLDER.rglob("*.yaml") if not {*file.parts} & {*HELM})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_manifest_is_valid(file: Path) -> None:
    for document in manifests(file):
        if not document["apiVersion"].startswith(FOREIGN):
            validate(document)


WORKLOADS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec: &apps
  selector: {matchLabels: {a: b}}
  template: &pod {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: a}, spec: *apps}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: a}
spec: {serviceName: a, selector: {matchLabels: {a: b}}, template: *pod}
---
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: a}, spec: *apps}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: a}
spec: {template: *pod}
---
apiVersion: v1
kind: PodTemplate
metadata: {name: a}
template: *pod
---
apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {containers: [{name: c, image: i}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: a}
spec: {template: {spec: &job {restartPolicy: Never, containers: [{name: c, image: i}]}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: a}
spec: {schedule: "* * * * *", jobTemplate: {spec: {template: {spec: *job}}}}
"""


def test_wrapped_manifests_of_all_kinds_are_valid() -> None:
    # Anchors do not reach over documents, so that these are items of a list.
    blocks = [block.splitlines() for block in WORKLOADS.strip().split("\n---\n")]
    items = ["\n  ".join([f"- {first}", *others]) for first, *others in blocks]
    loaded = yaml.safe_load("\n".join(items))
    for added in ({}, {"ksmrun.layout": "shared"}):
        found = rewrite(yaml.safe_dump_all(loaded), by_class("ksmrun", added))
        wrapped = list(yaml.safe_load_all(found.text))
        assert wrapped != loaded
        for document in wrapped:
            validate(document)
    built_in = {kind for group, kind in POD_PATHS if group in ("", "apps", "batch")}
    assert {each["kind"] for each in loaded} == built_in


def test_files_agree(installer: ModuleType) -> None:
    classes = {
        each["metadata"]["name"]: each for each in manifests(FOLDER / "node/runtimeclass.yaml")
    }
    selector = {installer.LABEL: "yes"}
    assert classes["ksmrun"]["scheduling"]["nodeSelector"] == selector
    assert "scheduling" not in classes[installer.TEST_CLASS]
    assert {each["handler"] for each in classes.values()} == {"ksmrun"}
    pod = one("DaemonSet", "ksmrun-monitor", "monitor.yaml")["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == selector
    assert Path(installer.LIBEXEC) == LOCAL
    rules = yaml.safe_load((EXAMPLES / "monitoring/ksmrun.rules.yml").read_text())
    (rule,) = manifests(FOLDER / "monitoring/prometheusrule.yaml")
    assert rule["spec"] == rules


def test_the_monitor_has_two_capabilities_and_no_way_to_write() -> None:
    """As its unit (`ksmrun monitor --print-unit`)."""
    pod = one("DaemonSet", "ksmrun-monitor", "monitor.yaml")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    limits = container["securityContext"]
    assert limits["capabilities"] == {"drop": ["ALL"], "add": ["SYS_PTRACE", "DAC_READ_SEARCH"]}
    assert limits["readOnlyRootFilesystem"] and not limits["allowPrivilegeEscalation"]
    assert "privileged" not in limits and not pod["automountServiceAccountToken"]
    (switch,) = pod["initContainers"]
    # YAML 1.1 reads a bare on as true.
    assert switch["args"] == ["host", "on"]
    assert switch["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert switch["securityContext"]["readOnlyRootFilesystem"]


@pytest.fixture
def installer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setenv("HOST_ETC", str(tmp_path / "etc"))
    spec = importlib.util.spec_from_file_location("installer", FOLDER / "node/installer.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up there.
    monkeypatch.setitem(sys.modules, "installer", module)
    spec.loader.exec_module(module)
    module.REFUSED = tmp_path / "refused.json"  # type: ignore[attr-defined]
    yield module


class Fake:
    """Engine that comes up unless its file has the text in `broken`, and notes its restarts."""

    def __init__(self, installer: ModuleType, file: Path) -> None:
        self.file, self.broken, self.verdict = file, "", ""
        self.restarts: list[str | None] = []
        self._failed = installer.Failed
        self.engine = installer.Engine("containerd", file, self._judge, self._is_up)

    def restarted(self, *words: str) -> None:
        assert words == ("systemctl", "restart", "containerd")
        self.restarts.append(self.file.read_text() if self.file.exists() else None)

    def _judge(self, *_: object) -> None:
        if self.verdict:
            raise self._failed(self.verdict)

    def _is_up(self) -> bool:
        return self.restarts[-1] != self.broken


@pytest.fixture
def fake(installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    (tmp_path / "etc").mkdir()
    made = Fake(installer, tmp_path / "etc/containerd/config.toml")
    monkeypatch.setattr(installer, "UP_SECONDS", 0.1)
    monkeypatch.setattr(installer, "on_host", made.restarted)
    return made


@pytest.mark.parametrize("old", ["old", None])
def test_a_configuration_that_does_not_come_up_is_put_back(
    installer: ModuleType, fake: Fake, old: str | None
) -> None:
    if old is not None:
        fake.file.parent.mkdir()
        fake.file.write_text(old)
    fake.broken = "new"
    with pytest.raises(installer.Failed, match=r"put back.*it is up again"):
        installer.change(fake.engine, "new")
    with pytest.raises(installer.Failed, match=r"put back.*to try again, delete this pod"):
        installer.change(fake.engine, "new")
    assert fake.restarts == ["new", old]
    assert (fake.file.read_text() if fake.file.exists() else None) == old


def test_one_that_the_engine_refuses_never_counts(installer: ModuleType, fake: Fake) -> None:
    fake.verdict = "lost runc"
    with pytest.raises(installer.Failed, match="lost runc"):
        installer.change(fake.engine, "new")
    assert fake.restarts == [] and list(fake.file.parent.iterdir()) == []


def test_one_that_comes_up_stays(installer: ModuleType, fake: Fake) -> None:
    installer.change(fake.engine, "new")
    assert fake.file.read_text() == "new" and fake.restarts == ["new"]
    installer.change(fake.engine, "")
    assert not fake.file.exists() and list(fake.file.parent.iterdir()) == []


OLD = """version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.gvisor]
runtime_type = "io.containerd.runsc.v1"
"""


@pytest.mark.parametrize("old", ["", OLD])
def test_what_is_added_is_taken_out_again(
    installer: ModuleType, fake: Fake, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        installer, "run", lambda *words: lines_for(old or None, words[-1], default=False)[0]
    )
    new = installer.with_runtime(fake.engine, old)
    assert BEGIN in new and END in new and str(OCI_RUNTIME) in new
    assert "/host" not in new and f"'{installer.ETC}" not in new
    assert set(installer.runtimes(new)) >= {"runc", "ksmrun", "ksmrun-by-request"}
    assert installer.without_runtime(fake.engine, new) == old


def test_a_runtime_that_would_be_lost(
    installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a table of runtimes replaces an imported one."""
    file = tmp_path / "etc/new.toml"
    file.parent.mkdir()
    file.write_text("")
    dumped = OLD.partition('[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.g')[0]

    def on_host(*words: str) -> Any:
        assert words == ("containerd", "--config", "/etc/new.toml", "config", "dump")
        return subprocess.CompletedProcess(words, 0, dumped, "")

    monkeypatch.setattr(installer, "on_host", on_host)
    with pytest.raises(installer.Failed, match="gvisor"):
        installer.judge_containerd(file, OLD)
    installer.judge_containerd(file, dumped)
