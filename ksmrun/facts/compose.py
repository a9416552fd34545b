"""A Compose file's services: as Compose itself understands the file, where it is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ksmrun.facts.text import read_text
from ksmrun.facts.tool import run_tool
from ksmrun.facts.yaml import load
from ksmrun.model import KsmrunError
from ksmrun.model.container import ComposeProject, ComposeService, Words

# How each is called, and what it answers only where it can do `config`: docker without its plugin
# shows its own help, podman-compose before 1.1 has no such command.
TOOLS = {
    ("docker", "compose"): "version",
    ("docker-compose",): "version",
    ("podman-compose",): "config --help",
}
# The one that always puts in what variables stand for, and leaves `extends` to `up`.
INTERPOLATES = ("podman-compose",)
TIMEOUT_SECONDS = 60.0


def read_project(file: str) -> tuple[ComposeProject, str]:
    """The services, and how they were read. "-" is stdin. Raises KsmrunError.

    Only Compose knows extends, includes and env files; without it the file is read as it stands.
    """
    if file == "-":
        return parse_project(sys.stdin.read(), "stdin", Path.cwd()), "stdin"
    text = read_text(Path(file))
    if text is None:
        raise KsmrunError(f"cannot read {file}", "give a Compose file, or - for stdin")
    folder = Path(file).absolute().parent
    own = parse_project(text, file, folder)
    tool = _tool()
    if tool is None:
        return own, "the file itself: no Compose is here that resolves extends and variables"
    name = " ".join(tool)
    done = _run([*tool, "-f", file, "config"])
    raw = None
    if tool != INTERPOLATES:
        raw = _run([*tool, "-f", file, "config", "--no-interpolate"])
    if done.returncode != 0 and raw is not None and raw.returncode == 0:
        # A variable that has to be set (${NAME:?}) may be, when the services start.
        done = raw
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["failed"]
        raise KsmrunError(
            f"{name} cannot read {file}: {lines[-1]}", f"see: {name} -f {file} config"
        )
    found = parse_project(done.stdout, name, folder)
    written = own
    # Compose 2 refuses some files without interpolation, where a number or a port is a variable.
    if raw is not None and raw.returncode == 0:
        written = parse_project(raw.stdout, name, folder)
    # The version of the file that the override is to go with, not the one that config shows.
    return ComposeProject(_as_written(found, written, file), own.version), f"{name} config"


def _as_written(
    found: ComposeProject, written: ComposeProject, file: str
) -> tuple[ComposeService, ...]:
    """Take images by what variables stand for now, as they are looked up, and all words as they
    are written: a value is another one's .env's tomorrow, and may be a secret.
    """
    words = {service.name: service for service in written.services}
    services = []
    for each in found.services:
        if each.name not in words and (each.entrypoint or each.command):
            raise KsmrunError(
                f"{each.name} is not in {file} itself, and only the values of its variables "
                "are known",
                "wrap the file that defines it",
            )
        own = words.get(each.name, each)
        services.append(replace(each, entrypoint=own.entrypoint, command=own.command))
    return tuple(services)


def parse_project(text: str, name: str, folder: Path) -> ComposeProject:
    """Raises KsmrunError where the text is no Compose file."""
    data = load(text, name)
    services = data.get("services") if isinstance(data, dict) else None
    if not isinstance(services, dict):
        raise KsmrunError(f"{name} has no services", "give a Compose file")
    project = str(data.get("name") or os.environ.get("COMPOSE_PROJECT_NAME") or folder.name)
    found = []
    for service, settings in services.items():
        if not isinstance(settings, dict):
            raise KsmrunError(f"{name}: the service {service} is not a mapping", "fix the file")
        found.append(_service(str(service), settings, project.lower()))
    version = data.get("version")
    return ComposeProject(tuple(found), None if version is None else str(version))


def _service(name: str, settings: dict[str, Any], project: str) -> ComposeService:
    image = settings.get("image")
    # What Compose 2, Compose 1 and podman-compose call an image that they built.
    built = tuple(f"{project}{mark}{name}" for mark in "-_")
    return ComposeService(
        name=name,
        entrypoint=_words(settings.get("entrypoint")),
        command=_words(settings.get("command")),
        images=(str(image),) if image else built,
        builds="build" in settings,
        extends="extends" in settings,
    )


def _words(value: Any) -> Words | None:
    """Blanks alone are an empty list, as what splits a string has it."""
    if value is None:
        return None
    if isinstance(value, list):
        return tuple(str(word) for word in value)
    return str(value) if str(value).strip() else ()


def _tool() -> tuple[str, ...] | None:
    """The first Compose that is here and answers."""
    for tool, question in TOOLS.items():
        if shutil.which(tool[0]) and _run([*tool, *question.split()]).returncode == 0:
            return tool
    return None


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return run_tool(command, TIMEOUT_SECONDS, "look whether it works by itself")
