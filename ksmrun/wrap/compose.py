"""Compose override file with which the services of another one start merged. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from ksmrun.model.container import ComposeService, ImageConfig, Words
from ksmrun.model.trust import TRUST_FOLDER
from ksmrun.model.wrap import LIBEXEC
from ksmrun.wrap.container import KEY_FILE, quoted, quoted_list


@dataclass(frozen=True)
class ServiceOverride:
    """Replacements for a service. command: None if its own stays."""

    name: str
    entrypoint: Words
    command: tuple[str, ...] | None


def needs_image(service: ComposeService) -> bool:
    """Return whether the service's command depends on the image's configuration."""
    if service.entrypoint is None:
        return True
    return not service.entrypoint and not service.command


def override(
    service: ComposeService, image: ImageConfig | None, launcher: Sequence[str]
) -> ServiceOverride:
    """Return the override of a service.

    Compose replaces an entrypoint and then drops the image's command, so both are written.
    launcher: its words, with "--" at the end. image: may be None unless needs_image().
    """
    words = [_escaped(word) for word in launcher]
    if service.entrypoint and isinstance(service.entrypoint, str):
        # A string is split by its reader, with its own rules for quotes and variables.
        return ServiceOverride(service.name, f"{shlex.join(words)} {service.entrypoint}", None)
    if service.entrypoint:
        return ServiceOverride(service.name, (*words, *service.entrypoint), None)
    entrypoint, command = tuple(words), None
    if image is not None and service.entrypoint is None:
        entrypoint += tuple(_escaped(word) for word in image.entrypoint)
    if image is not None and not service.command:
        command = tuple(_escaped(word) for word in image.cmd)
    return ServiceOverride(service.name, entrypoint, command)


def render(
    overrides: Sequence[ServiceOverride], version: str | None, key: str | None, *, has_domain: bool
) -> str:
    """Return the file's text after its header. The launcher is mounted, so no image changes.

    key: file of the layout key on the host. has_domain: the launcher asks the state of the domains.
    """
    text = "" if version is None else f"version: {quoted(version)}\n"
    text += "services:\n"
    for each in overrides:
        text += f"  {quoted(each.name)}:\n    entrypoint: {_words(each.entrypoint)}\n"
        if each.command is not None:
            text += f"    command: {quoted_list(each.command)}\n"
        text += "    volumes:\n" + _bind(str(LIBEXEC), str(LIBEXEC))
        if key is not None:
            text += _bind(key, KEY_FILE)
        if has_domain:
            # The short form: after a boot the first claim makes the folder, and a service starts
            # before that, too.
            text += f"      - {quoted(f'{TRUST_FOLDER}:{TRUST_FOLDER}:ro')}\n"
    return text


def _bind(source: str, target: str) -> str:
    """Return a bind mount in long form; the short one would create a missing source as a folder."""
    return (
        f"      - type: bind\n        source: {quoted(source)}\n"
        f"        target: {quoted(target)}\n        read_only: true\n"
    )


def _words(words: Words) -> str:
    return quoted(words) if isinstance(words, str) else quoted_list(words)


def _escaped(word: str) -> str:
    """Double each dollar sign: Compose substitutes variables after a single one."""
    return word.replace("$", "$$")
