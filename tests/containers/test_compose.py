"""Override files of `ksmrun wrap compose`, used by podman-compose and docker-compose."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ksmrun.model.wrap import LAUNCHER

from .engines import KSMRUN, Engine, Place, base, docker, engine, place, podman, root

__all__ = ["base", "docker", "engine", "place", "podman", "root"]

FILE = """
x-common: &common
  network_mode: none
  image: "${NAME:-two}"
services:
  image-only: {<<: *common}
  words: {<<: *common, command: [a b, "$$X", "${Y}"]}
  string:
    <<: *common
    entrypoint: report "a b" $$X '${Y}'
    command: "c 'd e'"
  reset: {<<: *common, entrypoint: [], command: report r}
  reset-all: {image: three, network_mode: none, entrypoint: ""}
"""
IMAGES = {
    "two": 'ENTRYPOINT ["report", "$E"]\nCMD ["cmd", "$(C)"]',
    "three": 'ENTRYPOINT ["report-static", "three"]\nCMD ["report", "$$CMD"]',
}
COMPOSE = {
    "podman": (str(Path(sys.executable).with_name("podman-compose")),),
    "docker": ("docker-compose",),
}


@dataclass(frozen=True)
class Project:
    """Folder with a Compose file, and its images built."""

    engine: Engine
    folder: Path

    def compose(self, *words: str | Path) -> str:
        command = (*COMPOSE[self.engine.name], *words)
        return self.engine.place.run(*command, cwd=self.folder, environment={"Y": "it is y"})

    def reports(self, *files: str | Path) -> dict[str, dict[str, object]]:
        """Return what `report` printed in each service."""
        options = [word for file in files for word in ("-f", file)]
        self.compose(*options, "up", "-d")
        try:
            names = self.engine("ps", "--all", "--format", "{{.Names}}").split()
            reports = {}
            for name in names:
                service = name.removeprefix("project").strip("_-").removesuffix("1").strip("_-")
                self.engine("wait", name)
                reports[service] = json.loads(self.engine("logs", name))
            return reports
        finally:
            self.compose(*options, "down", "-t", "0")

    def wrap(self, *words: str | Path) -> str:
        engine = ("--engine", self.engine.name)
        return self.engine.place.ksmrun(
            *("wrap", "compose", *engine, *words), cwd=self.folder, environment={"Y": "it is y"}
        )


@pytest.fixture
def project(engine: Engine, base: str, tmp_path: Path) -> Iterator[Project]:
    for name, lines in IMAGES.items():
        engine.build(name, f"FROM {base}\n{lines}\n")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "compose.yaml").write_text(FILE)
    yield Project(engine, folder)


def test_services_start_the_same_and_merge(project: Project) -> None:
    before = project.reports("compose.yaml")
    shown = project.wrap("compose.yaml", "--output", "over.yaml")
    assert (project.folder / "over.yaml").read_text() == shown
    after = project.reports("compose.yaml", "over.yaml")
    assert len(before) == 5
    assert {name: report["merges"] for name, report in before.items()} == dict.fromkeys(before, 0)
    assert after == {name: {**report, "merges": 1} for name, report in before.items()}
    assert "deleted" in project.wrap("--remove", "over.yaml")
    assert not (project.folder / "over.yaml").exists()


DOCKER_LATER = ["podman", pytest.param("docker", marks=pytest.mark.long_run)]


@pytest.mark.parametrize("engine", DOCKER_LATER, indirect=True)
def test_a_built_image_and_an_old_file(project: Project) -> None:
    """Compose names what it builds after the folder; two files must have the same version."""
    if project.engine.name == "podman":
        project.engine.build("project_it", "FROM two\n")
    else:
        project.engine.build("project-it", "FROM two\n")
    text = 'version: "3.7"\nservices: {it: {build: ., network_mode: none}}\n'
    (project.folder / "old.yaml").write_text(text)
    shown = project.wrap("old.yaml", "it")
    assert shown.splitlines()[3:5] == ['version: "3.7"', "services:"]
    (project.folder / "over.yaml").write_text(shown)
    assert str(LAUNCHER) in project.compose("-f", "old.yaml", "-f", "over.yaml", "config")
    named = project.wrap("old.yaml", "--image", "it=three")
    assert '"--", "report-static", "three"]' in named


WAYS = {"podman-compose": ["podman-compose", "podman"], "no Compose": ["podman"]}
SAID = {
    "podman-compose": "services read from podman-compose config",
    "no Compose": "services read from the file itself: no Compose is installed",
}


@pytest.mark.parametrize("engine", ["podman"], indirect=True)
@pytest.mark.parametrize("way", WAYS)
def test_ways_to_read_a_file(project: Project, way: str) -> None:
    """Each gives the same result, with dollar signs doubled as in the file."""
    bin_folder = project.folder / "bin"
    bin_folder.mkdir()
    for name in WAYS[way]:
        beside = Path(sys.executable).with_name(name)
        (bin_folder / name).symlink_to(beside if beside.exists() else f"/usr/bin/{name}")
    for name in ("runc", "conmon"):
        (bin_folder / name).symlink_to(
            f"/usr/sbin/{name}" if name == "runc" else f"/usr/bin/{name}"
        )
    text = "services: {it: {image: two, network_mode: none, command: [a, '$$X', 'b c']}}\n"
    (project.folder / "one.yaml").write_text(text)
    command = (KSMRUN, "wrap", "compose", "one.yaml")
    environment = {"PATH": str(bin_folder)}
    done = project.engine.place.try_run(*command, cwd=project.folder, environment=environment)
    assert SAID[way] in done.stderr and done.returncode == 0
    assert done.stdout == project.wrap("one.yaml")
    assert '"report", "$$E"]\n    volumes' in done.stdout


def test_what_is_refused(place: Place, tmp_path: Path) -> None:
    file, other = tmp_path / "compose.yaml", tmp_path / "other.yaml"
    file.write_text(
        "services: {it: {image: no-such, command: x}, ok: {image: x, entrypoint: run}}\n"
    )
    other.write_text("# somebody's\n")
    wrap = (KSMRUN, "wrap", "compose", file)
    cases = [
        ((*wrap, "nobody"), "no service nobody; there are: it, ok"),
        ((*wrap, "it"), "the command of it is not known"),
        ((*wrap, "ok", "--output", other), f"{other} was not written by ksmrun"),
        ((KSMRUN, "wrap", "compose", "--remove", other), f"{other} was not written by ksmrun"),
        ((KSMRUN, "wrap", "compose", "--remove", tmp_path / "none"), "does not exist"),
        ((*wrap, "--image", "x"), "--image=x is not SERVICE=IMAGE"),
        ((KSMRUN, "wrap", "compose", other), "has no services"),
    ]
    for command, part in cases:
        done = place.try_run(*command, environment={"PATH": "/nonexistent"})
        assert done.returncode == (2 if "--image" in command else 1), command
        assert part in done.stderr and "Traceback" not in done.stderr
    assert other.read_text() == "# somebody's\n"
    # A second override on top of the first has nothing to add.
    shown = place.ksmrun(*wrap[1:], "ok", environment={"PATH": "/nonexistent"})
    other.write_text(shown)
    done = place.try_run(KSMRUN, "wrap", "compose", other, environment={"PATH": "/nonexistent"})
    assert "already wrapped" in done.stderr
