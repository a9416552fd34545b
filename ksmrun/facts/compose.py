"""Services of a Compose file, read by Compose itself if it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from ksmrun.facts.text import read_input
from ksmrun.model.container import ComposeProject, ComposeService, Words
from ksmrun.model.errors import KsmrunError
from ksmrun.support.tool import run_tool
from ksmrun.support.yaml import load

# Command line of each tool, and output that it gives only if it can do `config`: docker without its
# plugin shows its own help, and podman-compose before 1.1 has no such command.
TOOLS = {
    ("docker", "compose"): "version",
    ("docker-compose",): "version",
    ("podman-compose",): "config --help",
}
# This tool always substitutes variables, and leaves `extends` unresolved until `up`.
INTERPOLATES = ("podman-compose",)
TIMEOUT_SECONDS = 60.0


def read_project(file: str) -> tuple[ComposeProject, str]:
    """Return the services, and how they were read. "-" is stdin. Raises KsmrunError.

    Only Compose resolves extends, includes and env files; without it the file is read as it stands.
    """
    text = read_input(file, "give a Compose file, or - for stdin")
    if file == "-":
        return parse_project(text, "stdin", Path.cwd()), "stdin: extends and variables stay"
    folder = Path(file).absolute().parent
    own = parse_project(text, file, folder)
    tool = _tool()
    if tool is None:
        return own, "the file itself: no Compose is installed that resolves extends and variables"
    name = " ".join(tool)
    done = _run([*tool, "-f", file, "config"])
    raw = None
    if tool != INTERPOLATES:
        raw = _run([*tool, "-f", file, "config", "--no-interpolate"])
    if done.returncode != 0 and raw is not None and raw.returncode == 0:
        # A variable that must be set (${NAME:?}) may be set when the services start.
        done = raw
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["failed"]
        raise KsmrunError(
            f"{name} cannot read {file}: {lines[-1]}", f"see: {name} -f {file} config"
        )
    found = parse_project(done.stdout, name, folder)
    written = own
    # Compose 2 refuses files in which a number or a port is a variable, without interpolation.
    if raw is not None and raw.returncode == 0:
        written = parse_project(raw.stdout, name, folder)
    # Version of the file that the override goes with, not the one that `config` shows.
    return ComposeProject(_as_written(found, written, file), own.version), f"{name} config"


def _as_written(
    found: ComposeProject, written: ComposeProject, file: str
) -> tuple[ComposeService, ...]:
    """Return the services as written, with images as the variables name them now.

    The image is looked up now; other values may differ in another .env tomorrow, and may be
    secrets.
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
    """Return the project in a Compose file's text. Raises KsmrunError if it is none."""
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
    # Names that Compose 2, Compose 1 and podman-compose give to images that they build.
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
    """Return a command as words.

    A string of blanks is an empty list, as string splitting has it.
    """
    if value is None:
        return None
    if isinstance(value, list):
        return tuple(str(word) for word in value)
    return str(value) if str(value).strip() else ()


def _tool() -> tuple[str, ...] | None:
    """Return the command line of the first Compose tool that is installed and answers."""
    for tool, question in TOOLS.items():
        if shutil.which(tool[0]) and _run([*tool, *question.split()]).returncode == 0:
            return tool
    return None


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return run_tool(command, TIMEOUT_SECONDS, "run it by hand to see why")
