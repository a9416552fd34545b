"""`ksmrun wrap pod --by runtime-class`, every kind that holds a pod, and bad manifests."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ksmrun.cli import build_app
from ksmrun.commands.wrap.pod_class_options import OF_LAUNCHER, annotations_of
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.launch import LayoutMode, LayoutScope, Mechanism, RuntimeFlags
from ksmrun.options.containers import PodOptions
from ksmrun.options.item import items
from ksmrun.wrap.pod import Rewritten, rewrite
from ksmrun.wrap.pod_class import by_class
from ksmrun.wrap.pod_kinds import POD_PATHS, with_given

SPEC = {"containers": [{"name": "a", "image": "i"}]}


def rewritten(text: str, *paths: str, **annotations: str) -> Rewritten:
    return rewrite(text, by_class("fast", annotations), paths=with_given(paths))


def invoked(*words: str, text: str) -> Any:
    return CliRunner().invoke(build_app(["wrap"]), ["wrap", "pod", *words, "-"], input=text)


def manifest(group: str, kind: str, path: tuple[str, ...], spec: object) -> dict[str, Any]:
    nested = spec
    for key in reversed(path):
        nested = {key: nested}
    assert isinstance(nested, dict)
    version = f"{group}/v1" if group else "v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "n"}, **nested}


# By hand, from the engines' own types: a table that is compared with itself proves nothing.
KINDS = [
    ("v1", "Pod", "spec"),
    ("v1", "PodTemplate", "template.spec"),
    ("v1", "ReplicationController", "spec.template.spec"),
    ("apps/v1", "Deployment", "spec.template.spec"),
    ("apps/v1", "StatefulSet", "spec.template.spec"),
    ("apps/v1", "DaemonSet", "spec.template.spec"),
    ("apps/v1", "ReplicaSet", "spec.template.spec"),
    ("batch/v1", "Job", "spec.template.spec"),
    ("batch/v1beta1", "CronJob", "spec.jobTemplate.spec.template.spec"),
    ("agones.dev/v1", "Fleet", "spec.template.spec.template.spec"),
    ("agones.dev/v1", "GameServerSet", "spec.template.spec.template.spec"),
    ("agones.dev/v1", "GameServer", "spec.template.spec"),
    ("argoproj.io/v1alpha1", "Rollout", "spec.template.spec"),
    ("apps.kruise.io/v1alpha1", "CloneSet", "spec.template.spec"),
    ("game.kruise.io/v1alpha1", "GameServerSet", "spec.gameServerTemplate.spec"),
    ("serving.knative.dev/v1", "Service", "spec.template.spec"),
]


@pytest.mark.parametrize(("version", "kind", "path"), KINDS)
def test_each_kind_gets_one_field(version: str, kind: str, path: str) -> None:
    keys = tuple(path.split("."))
    group = version.rpartition("/")[0]
    document = {**manifest(group, kind, keys, SPEC), "apiVersion": version}
    found = rewritten(yaml.safe_dump(document))
    expected = manifest(group, kind, keys, {**SPEC, "runtimeClassName": "fast"})
    assert yaml.safe_load(found.text) == {**expected, "apiVersion": version}
    assert (found.changed, found.left) == (((group, kind),), ())


@given(st.lists(st.sampled_from(sorted(POD_PATHS)), min_size=1, max_size=4, unique=True))
def test_lists_of_any_kinds(kinds: list[tuple[str, str]]) -> None:
    items = [manifest(*each, POD_PATHS[each], SPEC) for each in kinds]
    pods = [
        manifest(*each, POD_PATHS[each], {**SPEC, "runtimeClassName": "fast"}) for each in kinds
    ]
    for kind in ("List", "PodList"):
        text = yaml.safe_dump({"apiVersion": "v1", "kind": kind, "items": items})
        assert yaml.safe_load(rewritten(text).text)["items"] == pods


# Of other engines: Knative's Service is not Kubernetes', nor the other way round.
@pytest.mark.parametrize(
    ("version", "kind"), [("v1", "Service"), ("example.com/v1", "Deployment"), ("v2/v1", "Pod")]
)
def test_a_kind_of_another_group_is_left(version: str, kind: str) -> None:
    spec = {"template": {"spec": SPEC}}
    other = {"apiVersion": version, "kind": kind, "metadata": {"name": "o"}, "spec": spec}
    pod = manifest("", "Pod", ("spec",), SPEC)
    found = rewritten(yaml.safe_dump_all([other, pod]))
    assert next(yaml.safe_load_all(found.text)) == other
    (left,) = found.left
    assert left.name == f"{kind} o" and not left.is_meant
    group = version.rpartition("/")[0]
    hint = f"{kind}.{group}=spec.template.spec" if group else f"{kind}=spec.template.spec"
    assert f"--pod-path '{hint}'" in left.why
    # And what is told works.
    again = yaml.safe_load(rewritten(yaml.safe_dump(other), hint).text)
    assert again["spec"]["template"]["spec"]["runtimeClassName"] == "fast"


VOLCANO = """
apiVersion: batch.volcano.sh/v1alpha1
kind: Job
metadata: {name: j}
spec:
  tasks:
  - name: one
    template: {spec: {containers: [{name: a}]}}
  - name: two
    template: {spec: {containers: [{name: b}]}}
"""


def test_a_path_through_a_list() -> None:
    found = rewritten(VOLCANO, "Job.batch.volcano.sh=spec.tasks[].template.spec")
    tasks = yaml.safe_load(found.text)["spec"]["tasks"]
    assert [each["template"]["spec"]["runtimeClassName"] for each in tasks] == ["fast"] * 2
    with pytest.raises(KsmrunError, match=r"spec\.tasks\[\]\.no"):
        rewritten(VOLCANO, "Job.batch.volcano.sh=spec.tasks[].no")


@pytest.mark.parametrize("bad", ["", "A", "A=", "=a", "A.b=.c", "A.b=c..d", "A.B!=c", "A=b[0]"])
def test_a_path_that_is_none(bad: str) -> None:
    with pytest.raises(UsageError, match="is not KIND"):
        with_given([bad])


DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment  # web
metadata:
  name: web
spec:
  template:
    metadata:
      labels: {app: web}
    spec:
      # The server.
      containers:
      - name: a   # first
        image: 'i'
"""


def test_one_line_is_added() -> None:
    found = rewritten(DEPLOYMENT)
    lines = DEPLOYMENT.splitlines()
    added = [line for line in found.text.splitlines() if line not in lines]
    assert added == ['      runtimeClassName: "fast"'] and found.has_comments
    assert len(found.text.splitlines()) == len(lines) + 1


def test_a_layout_is_asked_for_by_annotations() -> None:
    done = invoked("--runtime-class", "k", "--layout", "shared", "--require", text=DEPLOYMENT)
    assert done.exit_code == 0, done.stderr
    template = yaml.safe_load(done.stdout)["spec"]["template"]
    assert template["metadata"] == {
        "labels": {"app": "web"},
        "annotations": {
            "ksmrun.layout": "shared",
            "ksmrun.layout-group": "default",
            "ksmrun.require": "true",
        },
    }
    assert "sudo ksmrun layout key default --output" in done.stdout
    # Without them, nothing but the field.
    plain = yaml.safe_load(invoked("--runtime-class", "k", text=DEPLOYMENT).stdout)
    assert plain["spec"]["template"]["metadata"] == {"labels": {"app": "web"}}


def test_a_domain_is_asked_for_by_an_annotation() -> None:
    done = invoked("--runtime-class", "k", "--domain", "web", text=DEPLOYMENT)
    assert done.exit_code == 0, done.stderr
    template = yaml.safe_load(done.stdout)["spec"]["template"]
    assert template["metadata"]["annotations"] == {"ksmrun.domain": "web"}
    assert 'On each node: "domains": {"web": {}} in /etc/ksmrun/oci.json' in done.stdout
    refused = invoked("--domain", "web", text=DEPLOYMENT)
    assert "--domain is for --by runtime-class" in str(refused.exception)


# Options that are no wishes for a launch.
NO_WISHES = {"by", "file", "namespace", "pod_path", "runtime_class", "strict"}
# How each of the others is asked for.
WISHES: dict[str, dict[str, Any]] = {
    "domain": {"domain": "web"},
    "exclude_secrets": {"exclude_secrets": True},
    "layout": {"layout": LayoutMode.SHARED},
    "layout_group": {"layout": LayoutMode.SHARED, "layout_group": "other"},
    "layout_scope": {"layout": LayoutMode.SHARED, "layout_scope": LayoutScope.TREE},
    "mechanism": {"mechanism": Mechanism.PRCTL},
    "require": {"require": True},
    "runtime_flags": {"runtime_flags": RuntimeFlags.MERGE},
}


def test_no_wish_is_dropped() -> None:
    known = {item.attribute for item in items(PodOptions)}
    assert known == NO_WISHES | set(OF_LAUNCHER) | set(WISHES)
    seen = [annotations_of(PodOptions(file="-", **given)) for given in WISHES.values()]
    assert {} not in seen
    assert all(seen.count(each) == 1 for each in seen)


@pytest.mark.parametrize("old", ["", "annotations: {b: c}", "annotations:", "annotations: {}"])
def test_annotations_that_are_there_stay(old: str) -> None:
    text = f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  {old}\nspec: {{containers: [{{}}]}}"
    found = yaml.safe_load(rewritten(text, **{"ksmrun.x": "1", "ksmrun.y": "2"}).text)
    kept = {"b": "c"} if "b:" in old else {}
    assert found["metadata"]["annotations"] == {**kept, "ksmrun.x": "1", "ksmrun.y": "2"}


def test_what_a_class_is_refused_for() -> None:
    pod = "{apiVersion: v1, kind: Pod, metadata: {name: p%s}, spec: {containers: [{name: a}]%s}}"
    for added, message in (
        (", runtimeClassName: fast", "already wrapped"),
        (", runtimeClassName: gvisor", "has the runtimeClassName gvisor"),
        (", os: {name: windows}", "for Windows"),
    ):
        with pytest.raises(KsmrunError, match=message):
            rewritten(pod % ("", added))
    with pytest.raises(KsmrunError, match=r"annotation ksmrun\.x: 2 already"):
        rewritten(pod % (", annotations: {ksmrun.x: 2}", ""), **{"ksmrun.x": "1"})
    launcher = "command: [/usr/libexec/ksmrun/ksmrun-exec]"
    launched = pod.replace("{name: a}", f"{{name: a, {launcher}}}") % ("", "")
    with pytest.raises(KsmrunError, match="already wrapped"):
        rewritten(launched)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--container", "a"), "--container is for --by launcher"),
        (("--from", "host"), "--from is for --by launcher"),
        (("--mechanism", "mark"), "--mechanism=mark is for --by launcher"),
        (("--domain", "Web"), "is not the name of a trust domain"),
        (("--runtime-class", "Not A Name"), "cannot be the name of a RuntimeClass"),
        (("--by", "launcher"), "--runtime-class is for --by runtime-class"),
    ],
)
def test_options_that_do_not_fit(words: tuple[str, ...], message: str) -> None:
    done = invoked("--runtime-class", "k", *words, text=DEPLOYMENT)
    assert isinstance(done.exception, UsageError) and message in str(done.exception)
    assert done.stdout == ""


def test_the_class_has_a_name_of_its_own() -> None:
    done = invoked("--by", "runtime-class", text=DEPLOYMENT)
    assert 'runtimeClassName: "ksmrun"' in done.stdout and done.exit_code == 0


@pytest.mark.parametrize(
    "text",
    [
        DEPLOYMENT.replace("name: web", "name: {{ .Release.Name }}-web"),
        DEPLOYMENT.replace("name: web", "name: {{ .Release.Name }}"),
        DEPLOYMENT.replace("'i'", "'{{ .Values.image }}:1'"),
        DEPLOYMENT.replace("'i'", "${IMAGE}"),
        "{{- if .Values.web }}\n" + DEPLOYMENT + "{{- end }}\n",
        "{% if web %}\n" + DEPLOYMENT + "{% endif %}\n",
    ],
)
def test_templates_that_nobody_has_rendered(text: str) -> None:
    with pytest.raises(KsmrunError, match="a template that was not rendered") as caught:
        rewritten(text)
    assert "helm template" in caught.value.todo


def test_braces_in_arguments_are_no_template() -> None:
    """Prometheus, Docker and many others take Go templates as arguments."""
    text = DEPLOYMENT + "        args: ['--format={{ .Name }}', '${HOME}']\n"
    assert rewritten(text).names == ("a",)


def test_two_manifests_of_one_name() -> None:
    other = DEPLOYMENT.replace("name: web", "name: web\n  namespace: %s")
    for second, is_refused in (
        (DEPLOYMENT, True),
        (other % "default", True),
        (other % "test", False),
        (DEPLOYMENT.replace("Deployment", "StatefulSet"), False),
        (DEPLOYMENT.replace("name: web", "generateName: web"), False),
    ):
        text = f"{DEPLOYMENT}---\n{second}"
        if is_refused:
            with pytest.raises(KsmrunError, match="two manifests are Deployment web"):
                rewritten(text)
        else:
            assert rewritten(text).names == ("a", "a")
    listed = {"kind": "List", "items": [yaml.safe_load(DEPLOYMENT)] * 2}
    with pytest.raises(KsmrunError, match="two manifests"):
        rewritten(yaml.safe_dump(listed))


def test_pods_of_another_manifest() -> None:
    """A Rollout may take the template of a Deployment."""
    rollout = """
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: r}
spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
"""
    found = rewritten(f"{DEPLOYMENT}---{rollout}")
    assert [(each.name, each.is_meant) for each in found.left] == [("Rollout r", True)]
    knative = manifest("serving.knative.dev", "Service", ("spec", "template", "spec"), SPEC)
    done = invoked("--runtime-class", "k", text=yaml.safe_dump(knative))
    assert "kubernetes.podspec-runtimeclassname" in done.stdout
