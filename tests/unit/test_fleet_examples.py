"""Examples of fleets: each command in them does as its verdict says."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml

from ksmrun.cli import build_app
from ksmrun.model.errors import EXIT_USAGE
from ksmrun.report.gate import EXIT_CODES, GO, STOP, UNSURE, parse_gates

ROOT = next(each for each in Path(__file__).parents if (each / "pyproject.toml").is_file())
FLEETS = ROOT / "examples/fleets"
APP: Any = typer.main.get_command(build_app())
KUBERNETES = {"apps", "batch", "rbac.authorization.k8s.io", ""}


def documents() -> list[dict[str, Any]]:
    files = sorted(FLEETS.glob("*.yaml"))
    return [each for file in files for each in yaml.safe_load_all(file.read_text())]


def find(kind: str, name: str) -> dict[str, Any]:
    (found,) = [
        each for each in documents() if (each["kind"], each["metadata"]["name"]) == (kind, name)
    ]
    return found


def scripts() -> dict[str, list[str]]:
    """Return the commands that ask for the verdict, by engine."""
    argo = find("AnalysisTemplate", "ksmrun-gate")["spec"]["metrics"][0]["provider"]["job"]["spec"]
    hooks = find("Canary", "game")["spec"]["analysis"]["webhooks"]
    pods = {"argo": argo, "kubernetes": find("Job", "ksmrun-gate")["spec"]}
    found = {
        name: pod["template"]["spec"]["containers"][0]["command"] for name, pod in pods.items()
    }
    return found | {hook["name"]: ["bash", "-c", hook["metadata"]["cmd"]] for hook in hooks}


def test_manifests_are_valid() -> None:
    checked = 0
    for each in documents():
        if each["apiVersion"].rpartition("/")[0] in KUBERNETES:
            kubernetes_validate.validate(each, "1.30", strict=True)
            checked += 1
    assert checked == 5


def calls(words: list[str]) -> Iterator[list[str]]:
    for line in words[-1].replace("exec ", "").replace("; ", "\n").splitlines():
        if line.startswith("ksmrun "):
            yield shlex.split(line)


@pytest.mark.parametrize("engine", ["argo", "kubernetes", "go", "stop"])
def test_the_command_can_be_parsed(engine: str) -> None:
    (words,) = calls(scripts()[engine])
    given = APP.commands["report"].make_context("report", words[2:]).params
    assert len(parse_gates(given["gate"], {"pss_bytes", "p99"})) == 2


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return a PATH with a ksmrun that ends as told, and a kubectl that notes its arguments."""
    for name, text in (("ksmrun", "exit $VERDICT"), ("kubectl", f'echo "$@" >>{tmp_path}/said')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


@pytest.mark.parametrize("verdict", [GO, STOP, UNSURE])
def test_each_verdict(path: str, tmp_path: Path, verdict: str) -> None:
    code = EXIT_CODES[verdict]
    environment = {**os.environ, "PATH": path, "VERDICT": str(code)}
    ended = {
        name: subprocess.run(words, env=environment, check=False).returncode
        for name, words in scripts().items()
    }
    # Flagger's load tester answers 200 to Flagger where a command ends with 0.
    stops = 0 if verdict == STOP else 1
    assert ended == {"argo": code, "kubernetes": code, "go": code, "stop": stops}
    said = tmp_path / "said"
    labels = "label nodes --selector=ksmrun.io/next=yes ksmrun.io/install=yes\n"
    assert (said.read_text() if said.exists() else "") == (labels if verdict == GO else "")


def test_only_what_is_not_sure_is_asked_again() -> None:
    (rule,) = find("Job", "ksmrun-gate")["spec"]["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"] == {"operator": "NotIn", "values": [EXIT_CODES[UNSURE]]}
    metric = find("AnalysisTemplate", "ksmrun-gate-web")["spec"]["metrics"][0]
    assert metric["successCondition"] == f'result == "{GO}"'
    assert metric["failureCondition"] == f'result == "{STOP}"'


@pytest.mark.parametrize("code", EXIT_CODES.values())
def test_slurms_gate_passes_the_verdict_on(path: str, code: int) -> None:
    environment = {**os.environ, "PATH": path, "VERDICT": str(code)}
    gate = ["sh", str(ROOT / "examples/slurm/gate.sh"), "results"]
    judged = subprocess.run([*gate, "--gate", "pss<=-20%"], env=environment, check=False)
    assert judged.returncode == code
    # No limit is no "go".
    done = subprocess.run(gate, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == EXIT_USAGE
    assert "there is no limit; to do: add" in done.stderr
