"""Command of a container, without and with the launcher before it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from ksmrun.model.container import ImageConfig
from ksmrun.model.wrap import LAUNCHER, LIBEXEC

# Path in the container: a read-only bind mount of a group's key.
KEY_FILE = "/run/ksmrun-layout.key"
# Characters that YAML wants escaped and JSON does not (YAML 1.2, 5.1).
UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def composed(
    image: ImageConfig, entrypoint: Sequence[str] | None, command: Sequence[str]
) -> tuple[str, ...]:
    """Return what Docker and Podman execute: an entrypoint given drops the image's CMD too.

    entrypoint: None if none is given; an empty one drops the image's, and keeps its CMD (moby
    daemon/commit.go, podman pkg/specgen/generate/oci_linux.go).
    """
    if entrypoint:
        return (*entrypoint, *command)
    first = image.entrypoint if entrypoint is None else ()
    return (*first, *(command or image.cmd))


def dockerfile(image: ImageConfig, launcher: Sequence[str], *, with_shims: bool) -> str:
    """Return the lines after FROM. launcher: its words, with "--" at the end."""
    if with_shims:
        text = f"# Beforehand, beside the Dockerfile: cp -R {LIBEXEC} .\n"
        text += f"COPY {LIBEXEC.name}/ {LIBEXEC}/\n"
    else:
        text = f"# Beforehand, beside the Dockerfile: cp {LAUNCHER} .\n"
        text += f"COPY {LAUNCHER.name} {LAUNCHER}\n"
    text += f"ENTRYPOINT {_exec_form((*launcher, *image.entrypoint))}\n"
    if image.cmd:
        # A new ENTRYPOINT drops the CMD of the base image (Dockerfile reference, CMD).
        text += f"CMD {_exec_form(image.cmd)}\n"
    return text


def quoted(text: str) -> str:
    """Return a string in double quotes, valid in both JSON and YAML."""
    return UNPRINTABLE.sub(
        lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False)
    )


def quoted_list(words: Sequence[str]) -> str:
    """Return a list of strings on one line, valid in both JSON and YAML."""
    return f"[{', '.join(quoted(word) for word in words)}]"


def _exec_form(words: Sequence[str]) -> str:
    """Return the words as JSON, in which a builder expands no variables."""
    return json.dumps(list(words))
