"""Trust domains of real containers: by runtime, image and label, and without their engine."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from ksmrun.facts.launcher import launcher_path

from .engines import Engine, base, docker, engine, merges, place, podman, root

__all__ = ["base", "docker", "engine", "place", "podman", "root"]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="engines need root")
# Without them the client knows of no containers.
ELSEWHERE = {"DOCKER_HOST": "unix:///nowhere", "CONTAINERS_STORAGE_CONF": ""}


@contextlib.contextmanager
def merging(engine: Engine, image: str, *options: str) -> Iterator[int]:
    """Run a container that merges; yield the host's PID of its program."""
    mount = ("--volume", f"{launcher_path()}:/ksmrun-exec:ro")
    start = ("run", "--detach", "--network", "none", *mount, *options, image)
    container = engine(*start, "/ksmrun-exec", "--", "/bin/sleep", "300").strip()
    try:
        pid = engine.pid(container)
        wait_until(lambda: merges(pid))
        yield pid
    finally:
        engine("rm", "--force", container)


def found(engine: Engine, text: str, pid: int, **environment: str) -> dict[str, Any]:
    """Return what `ksmrun trust show` says of the process with this trust file."""
    file: Path = engine.place.folder / "trust.toml"
    file.write_text(text)
    file.chmod(0o644)
    shown = engine.place.ksmrun(
        "trust", "show", "--json", f"--file={file}", environment=environment
    )
    processes = {each["pid"]: each for each in json.loads(shown)["processes"]}
    return dict(processes[pid])


def rule(text: str) -> str:
    return f"[domain.web]\ncontainers = [{{ {text} }}]\n"


def test_a_container_is_in_the_domain_that_covers_it(engine: Engine, base: str) -> None:
    with merging(engine, base, "--label=team=a") as pid:
        own = f'runtime = "{engine.name}"'
        for text in (
            own,
            f'{own}, label = "team"',
            f'{own}, label = "team=a"',
            'image = "*base*"',
            f'{own}, image = "*base*", label = "team=a"',
        ):
            assert found(engine, rule(text), pid)["domains"] == ["web"], text
        for text in (
            'runtime = "lxc"',
            f'{own}, label = "team=b"',
            'image = "other"',
            'namespace = "x"',
        ):
            assert found(engine, rule(text), pid)["domains"] == [], text
        # A path in its image says nothing of the host's programs.
        assert found(engine, "[domain.web]\nexecutables = ['/*']\n", pid)["domains"] == []


def test_a_silent_engine_makes_its_containers_foreign(engine: Engine, base: str) -> None:
    with merging(engine, base, "--label=team=a") as pid:
        process = found(engine, rule('image = "*base*"'), pid, **ELSEWHERE)
        assert process["domains"] == []
        assert process["wrong"].endswith("as its container's engine could not be asked")
        # What the cgroup alone shows is still known.
        process = found(engine, rule(f'runtime = "{engine.name}"'), pid, **ELSEWHERE)
        assert process["domains"] == ["web"]


def test_a_container_with_another_label_is_another_one(engine: Engine, base: str) -> None:
    for label, domains in (("team=a", ["web"]), ("team=b", [])):
        with merging(engine, base, "--name=same", f"--label={label}") as pid:
            text = f'runtime = "{engine.name}", label = "team=a"'
            assert found(engine, rule(text), pid)["domains"] == domains
