"""Preservation of a manifest by `ksmrun wrap pod`, and its messages about the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ksmrun.cli import build_app
from ksmrun.model.container import ImageConfig
from ksmrun.model.errors import KsmrunError
from ksmrun.wrap.pod import Rewritten, rewrite
from ksmrun.wrap.pod_launcher import PodRequest, by_launcher
from ksmrun.wrap.splice import Splicer, flow

WORDS = ("/usr/local/libexec/ksmrun/ksmrun-exec", "--")
IMAGE = ImageConfig("i", ("/entry",), ("cmd",), "amd64", "linux")


def rewritten(text: str, image: str | None = "l") -> Rewritten:
    return rewrite(text, by_launcher(PodRequest(WORDS, image), lambda _, __: IMAGE))


BLOCK = """\
# Of the shop.
kind: Deployment  # web
metadata:
    name: "web"
spec:
    template:
        spec:
            containers:
              # The server.
              - name: a   # first
                image: 'i'
                command:
                - run    # it
                - "1e3"
                volumeMounts:
                - {name: d, mountPath: /d}
              - image: i
            volumes:

            # Data.
            - name: d
"""


def test_every_line_and_comment_stays() -> None:
    """Users compare their files and keep them in a repository: only lines are added."""
    found = rewritten(BLOCK)
    assert found.has_comments
    left = iter(found.text.splitlines())
    # An item's first line keeps its dash, and what followed it.
    assert all(any(line.strip(" -") in new for new in left) for line in BLOCK.splitlines())
    pod = yaml.safe_load(found.text)["spec"]["template"]["spec"]
    assert pod["containers"][0]["command"] == [*WORDS, "run", "1e3"]
    assert pod["containers"][1]["command"] == [*WORDS, "/entry"]
    assert [each["name"] for each in pod["volumes"]] == ["ksmrun", "d"]


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_stays_json(indent: int | str | None) -> None:
    pod = {
        "kind": "Pod",
        "note": "/\U0001f600",
        "spec": {"containers": [{"name": "a", "args": []}], "volumes": []},
    }
    listed = {"kind": "List", "items": [pod, pod]}
    done = CliRunner().invoke(
        build_app(["wrap"]),
        ["wrap", "pod", "-", "--entrypoint", "a=x"],
        input=json.dumps(listed, indent=indent).replace("/", r"\/"),
    )
    assert done.exit_code == 0, done.output
    first, second = json.loads(done.stdout)["items"]
    assert first == second
    assert first["note"] == pod["note"]
    assert first["spec"]["initContainers"][0]["name"] == "ksmrun"
    assert "To remove it" in done.stderr


def test_an_aliased_pod_is_wrapped_in_each_place() -> None:
    text = """
kind: List
items:
- {kind: Pod, metadata: {name: a}, spec: &s {containers: [{name: a, command: &c [x]}]}}
- {kind: Pod, metadata: {name: b}, spec: *s}
- {kind: Other, command: *c}
"""
    found = rewritten(text)
    assert (found.names, found.has_comments) == (("a", "a"), False)
    first, second, other = yaml.safe_load(found.text)["items"]
    assert first["spec"] == second["spec"]
    assert first["spec"]["containers"][0]["command"] == [*WORDS, "x"]
    assert other["command"] == ["x"]


def test_aliases_without_bound() -> None:
    lines = ["kind: Pod", "a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    for text in ("\n".join(lines), "kind: Pod\na: &a [*a]\n"):
        with pytest.raises(KsmrunError, match=r"aliases|deeply"):
            rewritten(text)


CPU = "{requests: {cpu: 0.5, memory: 64Mi}, limits: {cpu: 0.5, memory: 64Mi, nvidia.com/gpu: 1}}"
SAME = {"cpu": "0.5", "memory": "64Mi"}


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (CPU, {"requests": SAME, "limits": SAME}),
        ("{limits: {cpu: 1, memory: 1Gi}}", {"limits": {"cpu": "1", "memory": "1Gi"}}),
        ("{requests: {memory: 1Gi}}", {"requests": {"memory": "1Gi"}}),
        ("{}", None),
        ("{limits: {nvidia.com/gpu: 1}}", None),
    ],
)
def test_the_pod_keeps_its_quality_of_service(resources: str, expected: Any) -> None:
    """Guaranteed stays so, BestEffort too, and a quota that admitted the pod still admits it."""
    text = f"kind: Pod\nspec: {{containers: [{{name: a}}, {{name: b, resources: {resources}}}]}}"
    bringer = yaml.safe_load(rewritten(text).text)["spec"]["initContainers"][0]
    assert bringer.get("resources") == expected


@pytest.mark.parametrize("where", ["initContainers", "ephemeralContainers", "containers"])
def test_a_container_of_the_init_container_s_name(where: str) -> None:
    text = f"{{kind: Pod, spec: {{containers: [{{name: a}}], {where}: [{{name: ksmrun}}]}}}}"
    if where == "containers":
        text = "{kind: Pod, spec: {containers: [{name: ksmrun}]}}"
    with pytest.raises(KsmrunError, match="already has a container ksmrun"):
        rewritten(text)
    assert rewritten(text, None).names


MIXED = """
apiVersion: example.com/v1
kind: Fleet
metadata: {name: game}
spec: {jobs: [{template: {spec: {containers: [{name: s}]}}}]}
---
kind: Pod
metadata: {name: t, annotations: {helm.sh/hook: "pre-install, test"}}
spec: {containers: [{name: t}]}
---
kind: ConfigMap
---
kind: Job
spec: {template: {spec: {containers: [{name: web}]}}}
"""


def test_what_is_left_is_said() -> None:
    found = rewritten(MIXED)
    assert found.names == ("web",)
    assert [(each.name, each.is_meant) for each in found.left] == [
        ("Fleet game", False),
        ("Pod t", True),
    ]


def test_strict_prints_nothing_where_something_is_left(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(MIXED)
    wrap = ["wrap", "pod", str(file), "--entrypoint", "web=x"]
    done = CliRunner().invoke(build_app(["wrap"]), wrap)
    assert done.exit_code == 0 and "Fleet game has containers" in done.stderr
    assert "--pod-path 'Fleet.example.com=spec.jobs[].template.spec'" in done.stderr
    assert "An existing Job cannot be changed" in done.stdout
    assert "apply the original" not in done.stdout
    done = CliRunner().invoke(build_app(["wrap"]), [*wrap, "--strict"])
    assert isinstance(done.exception, KsmrunError) and done.stdout == ""
    file.write_text(MIXED.partition("---")[2])
    assert CliRunner().invoke(build_app(["wrap"]), [*wrap, "--strict"]).exit_code == 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab:#-{}[]\"' \n&*!|>", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), VALUES, min_size=1)


@given(DOCUMENTS, st.sampled_from([True, False, None]))
def test_any_document_is_changed_where_it_is_asked_for(
    value: dict[str, Any], style: bool | None
) -> None:
    """Whichever style it is written in, and without the fallback that would lose comments."""
    value.pop("x", None)
    value["l"] = ["o", {"p": 1}]
    text = yaml.safe_dump(value, default_flow_style=style)
    splicer = Splicer(text)
    (root,) = splicer.documents
    assert isinstance(root, yaml.MappingNode)
    splicer.set_key(root, "x", {"y": ["z", True, 3]})
    splicer.prepend(root, "l", ["m", {"n": "#"}])
    expected = {**value, "x": {"y": ["z", True, 3]}, "l": ["m", {"n": "#"}, *value["l"]]}
    assert yaml.safe_load(splicer.result()) == expected
    assert splicer.has_comments


def test_values_are_json() -> None:
    assert json.loads(flow({"a": [True, 3, "\x7f\n"]})) == {"a": [True, 3, "\x7f\n"]}
