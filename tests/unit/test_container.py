"""Containers start the launcher, its options, "--", and then exactly what they started before."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.commands.wrap.compose import _config
from ksmrun.facts import compose as compose_facts
from ksmrun.facts.compose import parse_project
from ksmrun.facts.image import parse_image
from ksmrun.model.container import Engine, ImageConfig
from ksmrun.model.errors import KsmrunError
from ksmrun.model.trust import TRUST_FOLDER
from ksmrun.model.wrap import LAUNCHER, LIBEXEC, ContainerKey
from ksmrun.support import yaml as yaml_support
from ksmrun.wrap import pod
from ksmrun.wrap.compose import needs_image, override, render
from ksmrun.wrap.container import KEY_FILE, composed, dockerfile, quoted
from ksmrun.wrap.pod_launcher import Look, PodRequest, by_launcher

WORDS = ("/usr/local/libexec/ksmrun/ksmrun-exec", "--preload=/x/$PLATFORM/y.so", "--")
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
# Characters that engines and shells treat specially.
PLAIN = st.sampled_from(["sh", "-c", "$X", "$(X)", "$$", "${X}", 'a "b"', "", " ", "{", "#", "yes"])
LISTS = st.lists(TEXT | PLAIN, max_size=4).map(tuple)
IMAGES = st.builds(ImageConfig, name=st.just("i"), entrypoint=LISTS, cmd=LISTS)


def rewrite(text: str, request: PodRequest, look: Look) -> pod.Rewritten:
    return pod.rewrite(text, by_launcher(request, look), containers=request.containers)


@given(IMAGES, LISTS)
def test_an_image(image: ImageConfig, arguments: tuple[str, ...]) -> None:
    lines = dockerfile(image, WORDS, with_shims=False).splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["#", "COPY"]
    new = {line.split(" ", 1)[0]: json.loads(line.split(" ", 1)[1]) for line in lines[2:]}
    # A new ENTRYPOINT drops the CMD of the base image.
    built = ImageConfig("new", tuple(new["ENTRYPOINT"]), tuple(new.get("CMD", ())))
    assert composed(built, None, arguments) == (*WORDS, *composed(image, None, arguments))


def interpolated(word: str) -> str:
    """Interpolate like Compose if no variable is set and every dollar sign is doubled."""
    assert "$" not in word.replace("$$", "")
    return word.replace("$$", "$")


def engine_words(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    words = shlex.split(interpolated(value)) if isinstance(value, str) else map(interpolated, value)
    return tuple(words)


# As users write them: a string for a shell to split, or a list. None: not in the file.
SETTINGS = st.none() | LISTS.map(list) | LISTS.map(shlex.join)


@given(IMAGES, SETTINGS, SETTINGS)
def test_a_compose_service(image: ImageConfig, entrypoint: Any, command: Any) -> None:
    doubled: dict[str, Any] = {"image": "i"}
    for key, value in (("entrypoint", entrypoint), ("command", command)):
        if isinstance(value, str):
            doubled[key] = value.replace("$", "$$")
        elif value is not None:
            doubled[key] = [word.replace("$", "$$") for word in value]
    (service,) = parse_project(
        yaml.safe_dump({"services": {"s": doubled}}), "f", Path("/p")
    ).services
    known = image if needs_image(service) else None
    text = render([override(service, known, WORDS)], None, "/key", has_domain=True)
    added = yaml.safe_load(text)["services"]["s"]
    *_, key, domains = added["volumes"]
    assert (key["source"], key["target"], key["read_only"]) == ("/key", KEY_FILE, True)
    assert domains == f"{TRUST_FOLDER}:{TRUST_FOLDER}:ro"
    merged = {**doubled, **{key: added[key] for key in added if key != "volumes"}}

    def final(settings: dict[str, Any]) -> tuple[str, ...]:
        words = engine_words(settings.get("command")) or ()
        return composed(image, engine_words(settings.get("entrypoint")), words)

    assert final(merged) == (*WORDS, *final(doubled))


@given(TEXT)
def test_a_quoted_string_is_the_same_in_json_and_yaml(text: str) -> None:
    assert json.loads(quoted(text)) == yaml.safe_load(quoted(text)) == text


def expanded(word: str) -> str:
    """Expand like the kubelet: $$ is $, $(NAME) a variable, any other $ stays."""

    def replace(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else "A VARIABLE"

    return re.sub(r"\$\$|\$\([^)]*\)", replace, word)


def kubernetes_argv(container: dict[str, Any], image: ImageConfig) -> list[str]:
    """Return the arguments that the kubelet and containerd compose and expand."""
    command = [expanded(word) for word in container.get("command") or []]
    args = [expanded(word) for word in container.get("args") or []]
    if command:
        return [*command, *args]
    return [*image.entrypoint, *(args or image.cmd)]


ARGS = st.none() | LISTS.map(list)


@given(IMAGES.filter(lambda image: image.entrypoint or image.cmd), ARGS, ARGS)
def test_a_pod(image: ImageConfig, command: Any, args: Any) -> None:
    container = {"name": "c", "image": "i", "command": command, "args": args}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    text = yaml.safe_dump({**pod, "spec": {"containers": [container]}})
    found = rewrite(text, PodRequest(WORDS, None), lambda _, __: image)
    assert found.names == ("c",)
    new = yaml.safe_load(found.text)["spec"]["containers"][0]
    assert kubernetes_argv(new, image) == [*WORDS, *kubernetes_argv(container, image)]


POD_SPEC = """
      # A comment.
      containers:
      - {name: a, image: i, command: [run, "1e3"], env: [{name: X, value: "0o17"}]}
      - name: b
        image: i
        volumeMounts:
        - {name: d, mountPath: /d}
      volumes:
      - {name: d, emptyDir: {}}
      initContainers:
      - {name: first, image: i}
"""
META = {"name": "n"}
SELECTED = {"selector": {"matchLabels": {"a": "b"}}}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "Pod": ("v1", {}),
    "Deployment": ("apps/v1", SELECTED),
    "StatefulSet": ("apps/v1", {**SELECTED, "serviceName": "s"}),
    "DaemonSet": ("apps/v1", SELECTED),
    "ReplicaSet": ("apps/v1", SELECTED),
    "Job": ("batch/v1", {}),
    "CronJob": ("batch/v1", {"schedule": "* * * * *"}),
}


def manifest(kind: str) -> dict[str, Any]:
    version, spec = KINDS[kind]
    pod: dict[str, Any] = yaml.safe_load(POD_SPEC)
    labels = {"labels": {"a": "b"}}
    if kind in ("Job", "CronJob"):
        pod["restartPolicy"] = "Never"
    if kind == "Pod":
        spec = pod
    elif kind == "CronJob":
        spec = {**spec, "jobTemplate": {"spec": {"template": {"metadata": labels, "spec": pod}}}}
    else:
        spec = {**spec, "template": {"metadata": labels, "spec": pod}}
    return {"apiVersion": version, "kind": kind, "metadata": META, "spec": spec}


IMAGE = ImageConfig("i", ("/entry",), ("cmd",), "amd64", "linux")


@pytest.mark.parametrize("source", ["launcher-image", None])
def test_all_kinds_are_valid_for_kubernetes(source: str | None) -> None:
    text = yaml.safe_dump_all([manifest(kind) for kind in KINDS])
    request = PodRequest(WORDS, source, key=ContainerKey("g", "shop"))
    found = rewrite(text, request, lambda _, __: IMAGE)
    assert found.names == ("a", "b") * len(KINDS)
    assert found.keys == (ContainerKey("g", "shop"),)
    for document in yaml.safe_load_all(found.text):
        kubernetes_validate.validate(document, "1.30", strict=True)
        assert json.dumps(document).count('"/entry"') == 1
        assert json.dumps(document).count('"first"') == 1


def test_what_is_not_touched_stays_as_it_is_written() -> None:
    text = f"kind: Pod\nspec:\n{POD_SPEC}---\nkind: Other\ny: 'yes'\nz: 0777\n"
    found = rewrite(text, PodRequest(WORDS, "l", ("a",)), lambda _, __: IMAGE)
    changed = found.text
    assert found.names == ("a",)
    assert 'value: "0o17"' in changed
    assert '"--", run, "1e3"]' in changed
    assert "y: 'yes'\nz: 0777\n" in changed
    assert changed.index('"name": "ksmrun"') < changed.index("name: first")


def test_each_user_of_a_pod_has_a_key() -> None:
    text = """
    kind: Pod
    metadata: {namespace: shop}
    spec:
      securityContext: {runAsUser: 1000}
      containers:
      - {name: a, image: i}
      - {name: b, image: i, securityContext: {runAsUser: 0}}
      - {name: c, image: i, securityContext: {runAsUser: "x"}}
    """
    request = PodRequest(WORDS, None, key=ContainerKey("g", "default", 7))
    found = rewrite(text, request, lambda _, __: IMAGE)
    user, root = ContainerKey("g", "shop", 1000), ContainerKey("g", "shop", 0)
    assert found.keys == (user, root)
    pod = yaml.safe_load(found.text)["spec"]
    paths = {each["name"]: each["hostPath"]["path"] for each in pod["volumes"]}
    mounted = [paths[each["volumeMounts"][1]["name"]] for each in pod["containers"]]
    assert mounted == [user.path, root.path, user.path]
    assert user.path == "/run/ksmrun/layout/containers/namespaces/shop/g.1000.key"
    # Without any of these the words stay as they are.
    bare = "kind: Pod\nspec: {containers: [{name: a, image: i}]}"
    assert rewrite(bare, request, lambda _, __: IMAGE).keys == (request.key,)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("kind: Service\n", "no pod"),
        ("kind: Pod\n", "no spec"),
        ("kind: Pod\nspec: {os: {name: windows}, containers: [{name: a}]}", "Windows"),
        ("kind: Pod\nspec: {<<: {}, containers: [{name: a}]}", "merge keys"),
        (f"kind: Pod\nspec: {{containers: [{{name: a, command: [{LAUNCHER}]}}]}}", "already"),
        ("kind: Pod\nspec: {containers: [{name: a, command: run it}]}", "not a list"),
        ("kind: Pod\nspec: {containers: [{name: a}], volumes: [{name: ksmrun}]}", "a volume"),
        ("kind: Pod\nspec: {containers: [3]}", "not a mapping"),
        (
            "kind: Fleet\nspec: {containers: [{name: a}]}",
            "manifest has no pod; Fleet has containers",
        ),
        (
            f"kind: Pod\nspec: {{containers: [{{volumeMounts: [{{mountPath: {LIBEXEC}/}}]}}]}}",
            "mount",
        ),
        ("kind: [", "not valid YAML"),
    ],
)
def test_manifests_that_cannot_be_rewritten(text: str, part: str) -> None:
    with pytest.raises(KsmrunError, match=part):
        rewrite(text, PodRequest(WORDS, None), lambda _, __: IMAGE)


def test_a_container_without_any_command() -> None:
    text = "kind: Pod\nspec: {containers: [{name: a}]}"
    with pytest.raises(KsmrunError, match="no command"):
        rewrite(text, PodRequest(WORDS, None), lambda _, __: ImageConfig("i", (), ()))


CONFIGS = {
    "docker": [
        {
            "Architecture": "amd64",
            "Os": "linux",
            "Config": {"Entrypoint": ["/bin/sh", "-c", "x"], "Cmd": None},
        }
    ],
    "oci": {"architecture": "amd64", "os": "linux", "config": {"Entrypoint": "/bin/sh", "Cmd": []}},
    "bare": {"architecture": "amd64", "os": "linux"},
}


def test_configurations_of_images() -> None:
    found = {name: parse_image(json.dumps(data), name) for name, data in CONFIGS.items()}
    assert found["docker"].entrypoint == ("/bin/sh", "-c", "x")
    assert found["oci"].entrypoint == ("/bin/sh",)
    assert [each.cmd for each in found.values()] == [(), (), ()]
    assert {(each.architecture, each.os) for each in found.values()} == {("amd64", "linux")}
    for text in ("", "[]", "3", "[{}, {}]", '[{"Config": 3}]'):
        with pytest.raises(KsmrunError):
            parse_image(text, "bad")


def test_compose_files_as_they_are_written() -> None:
    text = """
x-all: &all {entrypoint: [a, "$$b"], command: yes}
services:
  one: {<<: *all, image: "i:${TAG}", build: .}
  two: {build: ., command: !reset x, entrypoint: "  "}
  three: {image: i, command: [1e3, on]}
"""
    one, two, three = parse_project(text, "f", Path("/My_Project")).services
    assert (one.entrypoint, one.command, one.images) == (("a", "$$b"), "yes", ("i:${TAG}",))
    assert (two.entrypoint, two.command) == ((), None)
    assert (two.images, two.builds) == (("my_project-two", "my_project_two"), True)
    assert three.command == ("1e3", "on")
    for bad in ("[", "3", "services: 3", "services: {a: 3}"):
        with pytest.raises(KsmrunError):
            parse_project(bad, "f", Path("/p"))


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(KsmrunError, match=r"ksmrun\[containers\]"):
        yaml_support.require_yaml()


def test_without_compose_the_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services: {a: {image: i, command: 'x ${Y}'}}")
    monkeypatch.setattr(compose_facts, "TOOLS", {})
    project, how = compose_facts.read_project(str(file))
    assert project.services[0].command == "x ${Y}"
    assert "no Compose is installed" in how
    failing = subprocess.CompletedProcess([], 1, "", "it\nfailed")
    monkeypatch.setattr(compose_facts, "TOOLS", {("sh",): "x"})
    answers = iter([subprocess.CompletedProcess([], 0, "", ""), failing, failing])
    monkeypatch.setattr(compose_facts, "_run", lambda _: next(answers))
    with pytest.raises(KsmrunError, match=r"cannot read .*: failed"):
        compose_facts.read_project(str(file))


SECRET = """
services:
  game: {image: "i:${TAG}", entrypoint: [run, "${RCON}", "$$x"]}
  more: {image: j, command: "a ${RCON}"}
"""


@pytest.mark.parametrize("tool", [("docker", "compose"), ("podman-compose",)])
@pytest.mark.parametrize("knows_raw", [True, False])
def test_compose_variables_stay_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tool: tuple[str, ...], knows_raw: bool
) -> None:
    """One override serves several .env files, whatever Compose reads it, and has no secret."""
    file = tmp_path / "compose.yaml"
    file.write_text(SECRET)
    values = SECRET.replace("${TAG}", "7").replace("${RCON}", "secret").replace("$$", "$")

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        if "--no-interpolate" not in command:
            return subprocess.CompletedProcess(command, 0, values, "")
        return subprocess.CompletedProcess(command, 0 if knows_raw else 1, SECRET, "")

    monkeypatch.setattr(compose_facts, "_tool", lambda: tool)
    monkeypatch.setattr(compose_facts, "_run", run)
    project, _ = compose_facts.read_project(str(file))
    game, more = project.services
    assert (game.images, game.entrypoint) == (("i:7",), ("run", "${RCON}", "$$x"))
    assert more.command == "a ${RCON}"
    if knows_raw and tool != ("podman-compose",):
        # ${RCON:?} is not set yet: the file can only be read without values.
        values = ""
        monkeypatch.setattr(
            compose_facts,
            "_run",
            lambda command: (
                run(command)
                if "--no-interpolate" in command
                else subprocess.CompletedProcess(command, 1, "", "RCON is missing")
            ),
        )
        project, _ = compose_facts.read_project(str(file))
        assert project.services[0].images == ("i:${TAG}",)
    # What an include brought is not in the file.
    values += "  other: {image: k, command: 'a secret'}\n"
    if tool == ("podman-compose",):
        with pytest.raises(KsmrunError, match="other is not in"):
            compose_facts.read_project(str(file))


def test_what_a_service_extends_is_not_guessed() -> None:
    (_, extending) = parse_project(
        "services: {a: {image: i}, b: {image: j, extends: {service: a}}}", "f", Path("/p")
    ).services
    with pytest.raises(KsmrunError, match="extends"):
        _config(extending, {}, Engine.AUTO)
