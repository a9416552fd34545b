"""What passes between the rooms where a container's command is wrapped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Engine(StrEnum):
    """What is asked for an image's configuration."""

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


class Libc(StrEnum):
    """What the programs of an image are linked with, which its configuration does not tell."""

    GLIBC = "glibc"
    MUSL = "musl"


@dataclass(frozen=True)
class ImageConfig:
    """What an image starts (OCI image-spec, config.md). architecture and os as Go names them."""

    name: str
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    architecture: str | None = None
    os: str | None = None


# As a file has it: a string is split by the engine, as a shell would.
Words = str | tuple[str, ...]


@dataclass(frozen=True)
class ComposeService:
    """A service of a Compose file, strings as they stand there ($$ is a dollar sign).

    entrypoint, command: None where the file does not set them. images: the names that its image
    may have, the likeliest first. builds: it has to be built before there is one. extends: another
    service has more of it, and nobody has resolved that.
    """

    name: str
    entrypoint: Words | None
    command: Words | None
    images: tuple[str, ...]
    builds: bool
    extends: bool = False


@dataclass(frozen=True)
class ComposeProject:
    """A Compose file. version: its old-fashioned `version:`, which two files must share."""

    services: tuple[ComposeService, ...]
    version: str | None = None
