"""Data that passes between the rooms when a container's command is wrapped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Engine(StrEnum):
    """Engine or tool to ask for an image's configuration."""

    AUTO = "auto"
    PODMAN = "podman"
    DOCKER = "docker"
    SKOPEO = "skopeo"


class RuntimeEngine(StrEnum):
    """The container engines that take another runtime."""

    PODMAN = "podman"
    DOCKER = "docker"
    CONTAINERD = "containerd"
    CRI_O = "cri-o"


@dataclass(frozen=True)
class ImageConfig:
    """Command that an image starts (OCI image-spec, config.md).

    architecture, os: as Go names them.
    """

    name: str
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    architecture: str | None = None
    os: str | None = None


# As a file has it: a string is split by the engine, as a shell would.
Words = str | tuple[str, ...]


@dataclass(frozen=True)
class ComposeService:
    """Service of a Compose file, with strings as they stand there ($$ is a dollar sign).

    entrypoint, command: None if the file does not set them. images: possible names of its image,
    the likeliest first. builds: the image must be built first. extends: it inherits from another
    service, which is not resolved.
    """

    name: str
    entrypoint: Words | None
    command: Words | None
    images: tuple[str, ...]
    builds: bool
    extends: bool = False


@dataclass(frozen=True)
class ComposeProject:
    """Compose file. version: its old-fashioned `version:`, on which two files must agree."""

    services: tuple[ComposeService, ...]
    version: str | None = None
