"""Manifests that `ksmrun wrap pod` has rewritten, run by `podman kube play`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from ksmrun.facts.launcher import launcher_path

from .engines import KSMRUN, Engine, Place, merges, place, podman, remove_pods, root

__all__ = ["place", "podman", "root"]

# Podman 4.3 may still list as running an init container that has ended, and then cannot delete it:
# this one it keeps. Each costs 20 seconds, because Podman waits for its own clean-up.
META = """
apiVersion: v1
kind: Pod
metadata: {name: web, annotations: {io.podman.annotations.init.container.type: always}}
"""
SPEC = """
spec:
  hostNetwork: true
  containers:
  - {name: whole, image: localhost/app, imagePullPolicy: Never, env: [{name: WAIT, value: "1"}]}
  - name: args
    image: localhost/app
    imagePullPolicy: Never
    args: ["$x", "a b"]
    env: [{name: WAIT, value: "1"}]
  - name: command
    image: localhost/app
    imagePullPolicy: Never
    command: [report-static, "yes"]
    env: [{name: WAIT, value: "1"}]
    securityContext: {runAsUser: 1000, readOnlyRootFilesystem: true}
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {name: web, labels: {app: web}}
"""
EXPECTED = {
    "whole": ["report", "$E", "cmd"],
    "args": ["report", "$E", "$x", "a b"],
    "command": ["report-static", "yes"],
}


@pytest.fixture(scope="module")
def app(podman: Engine, root: Path) -> Iterator[None]:
    """Build images of the application and the launcher, and one for podman's own container."""
    lines = 'FROM scratch\nCOPY root/ /\nENTRYPOINT ["report", "$E"]\nCMD ["cmd"]\n'
    podman.build("localhost/app", lines, {"root": root})
    shown = podman.place.ksmrun(
        *("wrap", "pod", "-", "--launcher-image", "localhost/launcher"),
        input="kind: Pod\nspec: {containers: [{name: a, command: [b]}]}",
    )
    # As printed, except for the base image: there is no registry here.
    printed = shown.split("is made beside")[1].splitlines()[1:3]
    recipe = "\n".join(line.removeprefix("#     ") for line in printed)
    assert recipe.startswith("FROM busybox\nCOPY ksmrun /usr/local/libexec/ksmrun")
    recipe = recipe.replace("busybox", "localhost/app")
    podman.build("localhost/launcher", recipe + "\n", {"ksmrun": launcher_path().parent})
    yield


def played(podman: Engine, manifest: str, folder: Path) -> dict[str, tuple[dict[str, Any], bool]]:
    """Return by container what `report` printed, and whether it merges as seen from outside."""
    file = folder / "manifest.yaml"
    file.write_text(manifest)
    try:
        done = podman.place.try_run(podman.name, "kube", "play", file)
        assert done.returncode == 0, (done.stderr, _logs(podman))
        found = {}
        for name in podman("ps", "--all", "--format", "{{.Names}}").split():
            container = name.rpartition("-")[2]
            if container in EXPECTED:
                wait_until(partial(_has_said, podman, name))
                report = json.loads(podman("logs", name))
                found[container] = (report, merges(podman.pid(name)))
        return found
    finally:
        remove_pods(podman)


def _logs(podman: Engine) -> dict[str, str]:
    """Return what each container said, also one that only prepares a pod and has failed."""
    names = podman("ps", "--all", "--format", "{{.Names}}").split()
    said = {name: podman.place.try_run(podman.name, "logs", name) for name in names}
    return {name: done.stdout + done.stderr for name, done in said.items()}


def _has_said(podman: Engine, name: str) -> bool:
    return "pid" in podman("logs", name)


# test_recipes.py plays one with the host's launcher.
RUNS = [("Pod", "image"), pytest.param("Deployment", "host", marks=pytest.mark.long_run)]


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(("kind", "source"), RUNS)
def test_containers_merge(podman: Engine, tmp_path: Path, kind: str, source: str) -> None:
    indented = SPEC.replace("\n", "\n    ")
    text = f"{META}{SPEC}" if kind == "Pod" else f"{DEPLOYMENT}{indented}"
    options = ("--engine", "podman", "--from", source, "--launcher-image", "localhost/launcher")
    changed = podman.place.ksmrun("wrap", "pod", *options, "-", input=text)
    found = played(podman, changed, tmp_path)
    assert {name: report["argv"] for name, (report, _) in found.items()} == EXPECTED
    assert all(seen and report["merges"] for report, seen in found.values())


def test_an_image_that_is_not_known(place: Place) -> None:
    """Then the user gives the command that it starts."""
    text = "kind: Pod\nspec: {containers: [{name: a, image: no-such}]}"
    wrap = (KSMRUN, "wrap", "pod", "-", "--engine", "podman", "--from", "host")
    done = place.try_run(*wrap, input=text)
    assert (done.returncode, done.stdout) == (1, "")
    assert "give --entrypoint a='COMMAND'" in done.stderr
    done = place.try_run(*wrap, "--entrypoint", "a=run 'it now'", input=text)
    assert '"--", "run", "it now"]' in done.stdout and done.returncode == 0
    for bad in ("a", "a=", "a='"):
        assert "--entrypoint" in place.try_run(*wrap, "--entrypoint", bad, input=text).stderr


def test_a_key_for_one_layout(place: Place) -> None:
    text = "kind: Pod\nspec: {containers: [{name: a, command: [b]}]}"
    shown = place.ksmrun("wrap", "pod", "-", "--layout", "shared", input=text)
    assert "--layout-key=/run/ksmrun-layout.key" in shown
    path = "/run/ksmrun/layout/containers/namespaces/default/default.0.key"
    assert f'{{"path": "{path}", "type": "File"}}' in shown
    assert "sudo ksmrun layout key default --containers --namespace default" in shown


SHARED = """
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostNetwork: true
  containers:
  - name: whole
    image: localhost/app
    imagePullPolicy: Never
    env: [{name: WAIT, value: "1"}, {name: ADDRESS, value: "1"}]
  - name: args
    image: localhost/app
    imagePullPolicy: Never
    env: [{name: WAIT, value: "1"}, {name: ADDRESS, value: "1"}]
    securityContext: {runAsUser: 1000}
"""


@pytest.mark.usefixtures("app")
def test_containers_of_other_users_have_one_layout(podman: Engine, tmp_path: Path) -> None:
    """The printed commands make the keys, each readable by its own user."""
    options = ("--engine", "podman", "--from", "host", "--layout", "shared", "--require")
    changed = podman.place.ksmrun("wrap", "pod", *options, "-", input=SHARED)
    environment = {"KSMRUN_LAYOUT_DIR": str(tmp_path / "keys")}
    commands = [line.split("sudo ksmrun ")[1] for line in changed.splitlines() if "sudo" in line]
    made = {}
    for command in commands:
        words = command.split()
        if words[0] == "layout":
            made[podman.place.ksmrun(*words, environment=environment).strip()] = words
        else:
            podman.place.ksmrun(*words)
    assert len(made) == 2
    for path in made:
        name = path.removeprefix(f"{tmp_path}/keys")
        assert f"/run/ksmrun/layout{name}" in changed
        changed = changed.replace(f"/run/ksmrun/layout{name}", path)
    found = played(podman, changed, tmp_path)
    assert {name: seen for name, (_, seen) in found.items()} == {"whole": True, "args": True}
    assert found["whole"][0]["main"] == found["args"][0]["main"]
