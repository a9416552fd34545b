"""Lines for container engines, in their own formats."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from ksmrun.commands.wrap import runtime
from ksmrun.model.container import RuntimeEngine as Engine
from ksmrun.model.errors import KsmrunError
from ksmrun.model.wrap import OCI_BY_REQUEST as LINK
from ksmrun.model.wrap import OCI_RUNTIME, InstalledLauncher
from ksmrun.wrap.containerd import BY_REQUEST
from ksmrun.wrap.runtime import render


def test_docker() -> None:
    settings = json.loads(render(Engine.DOCKER, default=False).text)
    assert settings["runtimes"]["ksmrun"] == {"path": str(OCI_RUNTIME)}
    assert settings["runtimes"][BY_REQUEST]["runtimeArgs"] == ["--ksmrun-by-request"]
    assert "default-runtime" not in settings
    assert json.loads(render(Engine.DOCKER, default=True).text)["default-runtime"] == BY_REQUEST


def test_docker_s_operator_opens() -> None:
    lines = render(Engine.DOCKER, default=False, environment=True, group="games")
    runtimes = json.loads(lines.text)["runtimes"]
    assert runtimes[BY_REQUEST]["runtimeArgs"] == ["--ksmrun-by-request", "--ksmrun-environment"]
    asks = "--ksmrun-request=layout=shared,layout-group=games"
    assert runtimes["ksmrun-games"] == {"path": str(OCI_RUNTIME), "runtimeArgs": [asks]}
    assert any("layout key games" in note for note in lines.notes)


@pytest.mark.parametrize("engine", [engine for engine in Engine if engine is not Engine.DOCKER])
def test_the_others_have_no_options(engine: Engine) -> None:
    plain, opened = render(engine, default=False), render(engine, default=False, environment=True)
    assert plain.text == opened.text
    assert '"environment": true' in " ".join(set(opened.notes) - set(plain.notes))


def test_podman() -> None:
    settings = tomllib.loads(render(Engine.PODMAN, default=True).text)["engine"]
    assert settings["runtimes"] == {"ksmrun": [str(OCI_RUNTIME)], BY_REQUEST: [str(LINK)]}
    assert settings["runtime"] == BY_REQUEST
    assert {"runc", "crun", "ksmrun", BY_REQUEST} <= set(settings["runtime_supports_json"])


def test_containerd() -> None:
    settings = tomllib.loads(render(Engine.CONTAINERD, default=True).text)
    plugin = settings["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]
    assert plugin["default_runtime_name"] == BY_REQUEST
    for name, path in (("ksmrun", OCI_RUNTIME), (BY_REQUEST, LINK)):
        assert plugin["runtimes"][name]["options"] == {"BinaryName": str(path)}
        assert plugin["runtimes"][name]["pod_annotations"] == ["ksmrun.*"]


def test_cri_o() -> None:
    lines = render(Engine.CRI_O, default=True)
    settings = tomllib.loads(lines.text)["crio"]["runtime"]
    assert settings["default_runtime"] == BY_REQUEST
    # Annotations of others in it would keep CRI-O from starting.
    assert settings["runtimes"]["ksmrun"] == {
        "runtime_path": str(OCI_RUNTIME),
        "runtime_type": "oci",
    }


@pytest.mark.parametrize("engine", Engine)
def test_without_default_nothing_else_changes(engine: Engine) -> None:
    assert "default" not in render(engine, default=False).text
    assert render(engine, default=True).notes == render(engine, default=False).notes


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "first: "),
        (InstalledLauncher("/x/ksmrun-exec", "0.0.1", is_current=False), "first: "),
        (InstalledLauncher("/x/ksmrun-exec", "1", is_current=True), ""),
        (
            KsmrunError("/x is writable for others", "chmod it"),
            "/x is writable for others; to do: ",
        ),
    ],
)
def test_what_comes_first(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    found: InstalledLauncher | KsmrunError | None,
    said: str,
) -> None:
    def installed() -> InstalledLauncher | None:
        if isinstance(found, KsmrunError):
            raise found
        return found

    monkeypatch.setattr(runtime, "installed", installed)
    monkeypatch.setattr(runtime, "OCI_RUNTIME", tmp_path)
    assert "".join(runtime._first()).startswith(said)
    assert bool(runtime._first()) == bool(said)
    monkeypatch.setattr(runtime, "OCI_RUNTIME", tmp_path / "missing")
    assert runtime._first()
