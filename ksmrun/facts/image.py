"""Command that an image starts, from an engine on this host or from what one printed."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from ksmrun.model.container import Engine, ImageConfig
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.support.tool import run_tool
from ksmrun.support.words import quoted

# skopeo's transports (containers-transports(5)); docker:// is a registry.
TRANSPORTS = (
    *("docker-archive", "docker-daemon", "oci", "oci-archive", "containers-storage", "dir"),
    *("docker", "sif", "ostree"),
)
COMMANDS = {
    Engine.PODMAN: ("podman", "image", "inspect"),
    Engine.DOCKER: ("docker", "image", "inspect"),
    Engine.SKOPEO: ("skopeo", "inspect", "--config"),
}
TIMEOUT_SECONDS = 120.0


def read_image(name: str, engine: Engine = Engine.AUTO) -> ImageConfig:
    """Return an image's configuration.

    Pulls nothing, except skopeo for docker://. Raises KsmrunError.

    name: as the engine knows it, with a transport of skopeo's before it, or a saved image's path.
    """
    source = _with_transport(name)
    engines = [engine] if engine is not Engine.AUTO else _engines(source)
    answers = []
    for each in engines:
        word, *arguments = COMMANDS[each]
        if shutil.which(word) is None:
            answers.append(f"{word} is not there")
            continue
        done = _run([word, *arguments, "--", source])
        if done.returncode == 0:
            return parse_image(done.stdout, name)
        lines = done.stderr.strip().splitlines() or ["failed"]
        answers.append(f"{word}: {lines[-1]}")
    raise KsmrunError(
        f"the image {name} cannot be read ({'; '.join(answers)})",
        "pull or build it first, or pipe it in: docker image inspect IMAGE | ksmrun wrap image -",
    )


def parse_image(text: str, name: str) -> ImageConfig:
    """Parse `docker image inspect`, `podman image inspect`, or an OCI configuration."""
    try:
        data = json.loads(text)
        entries = data if isinstance(data, list) else [data]
        if len(entries) != 1:
            raise KsmrunError(
                f"the input describes {len(entries)} images", "give one image at a time"
            )
        top = {key.lower(): value for key, value in entries[0].items()}
        config = top.get("config") or {}
        return ImageConfig(
            name=name,
            entrypoint=_words(config.get("Entrypoint")),
            cmd=_words(config.get("Cmd")),
            architecture=top.get("architecture"),
            os=top.get("os"),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise KsmrunError(
            f"{name} is not the configuration of an image",
            "give what `docker image inspect`, `podman image inspect` or `skopeo inspect --config` "
            "prints",
        ) from error


def _words(value: Any) -> tuple[str, ...]:
    """Return a list of words; very old images have a string. [""] means an empty list too."""
    words = (value,) if isinstance(value, str) else tuple(str(word) for word in value or ())
    return () if words == ("",) else words


def _engines(source: str) -> list[Engine]:
    if source.partition(":")[0] in TRANSPORTS and source.partition(":")[2]:
        return [Engine.SKOPEO]
    return [Engine.PODMAN, Engine.DOCKER]


def _with_transport(name: str) -> str:
    """Prefix a path with the transport that its content needs; leave other names as they are."""
    path = Path(name)
    if not name or name.startswith("-"):
        raise UsageError(
            f"{quoted(name)} is not a valid image name", "see `ksmrun wrap image --help`"
        )
    if not name.startswith(("/", ".")) or not path.exists():
        return name
    if path.is_dir():
        return f"oci:{name}" if (path / "oci-layout").exists() else f"dir:{name}"
    try:
        with tarfile.open(path) as archive:
            # The first members decide; a present-day docker-archive is an OCI layout as well.
            names = {member.name.removeprefix("./") for member in archive}
    except (OSError, tarfile.TarError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a tar archive"
        raise KsmrunError(
            f"cannot read {name}: {why}", "give a saved image, or the name of an image"
        ) from error
    return f"docker-archive:{name}" if "manifest.json" in names else f"oci-archive:{name}"


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return run_tool(command, TIMEOUT_SECONDS, "check that its daemon runs")
