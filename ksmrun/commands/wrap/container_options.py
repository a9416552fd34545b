"""Options that `ksmrun wrap image`, `compose` and `pod` share: the launcher's in a container."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ksmrun.commands.output import say
from ksmrun.facts.launcher import cached_probe, shim_path
from ksmrun.host.layout_keys import group_label, keys_folder
from ksmrun.launch.prepare import prepare
from ksmrun.launch.runtime_variables import variables_of_container
from ksmrun.model.container import ImageConfig
from ksmrun.model.errors import KsmrunError
from ksmrun.model.launch import LayoutMode, Refusal, TargetFacts
from ksmrun.model.wrap import INSTALL_LAUNCHER, LAUNCHER, LIBEXEC, ContainerKey
from ksmrun.options.containers import ContainerOptions
from ksmrun.wrap.container import KEY_FILE

# Go's names; the launcher for x86_64 starts 32-bit programs as well.
LAUNCHED = {"x86_64": ("amd64", "386"), "aarch64": ("arm64",)}


@dataclass(frozen=True)
class Launcher:
    """Launcher in a container. words: its path, its options and "--".

    key: of the host's containers, for a layout.
    """

    words: tuple[str, ...]
    uses_shim: bool
    key: ContainerKey | None


def plan_launcher(options: ContainerOptions, domain: str | None = None) -> Launcher:
    """Return the launcher's words, by what this host's kernel needs. Prints warnings on stderr.

    domain: of the trust file, for a container that has the folder of the domains' state.
    """
    layout, key = None, None
    if options.layout is LayoutMode.SHARED:
        group_label(keys_folder(), options.layout_group)
        key = ContainerKey(options.layout_group, None, options.layout_user)
        layout = options.shared(os.fsencode(KEY_FILE), None)
    # The image shows later what the program is; the plan does not depend on it.
    request = replace(options.request((b"",)), layout=layout, domain=domain)
    probe = cached_probe()
    target, shim = TargetFacts(None, dynamic=True), shim_path(LIBEXEC)
    variables = variables_of_container(options.runtime_flags)
    prepared = prepare(request, os.fsencode(LAUNCHER), probe, target, shim, variables)
    plan = prepared.plan
    if prepared.denied is not None:
        raise KsmrunError(*prepared.denied)
    if isinstance(plan, Refusal):
        raise KsmrunError(plan.what, plan.todo)
    words = [os.fsdecode(word) for word in plan.argv[: plan.argv.index(b"--")]]
    if options.require_max_map_count is not None:
        words.append(f"--require-max-map-count={options.require_max_map_count}")
    for line in (*plan.said, *plan.warnings):
        say(line)
    if not LAUNCHER.exists():
        say(f"{LAUNCHER} does not exist; to do: {INSTALL_LAUNCHER}")
    uses_shim = any(word.startswith("--preload=") for word in words)
    return Launcher((*words, "--"), uses_shim, key)


def refuse_foreign(image: ImageConfig) -> None:
    """Raise KsmrunError for an image in which this host's launcher cannot run."""
    if image.os not in (None, "", "linux"):
        raise KsmrunError(
            f"{image.name} is an image for {image.os}, which has no KSM", "give an image for Linux"
        )
    machine = os.uname().machine
    known = LAUNCHED.get(machine, ())
    if known and image.architecture not in (None, "", *known):
        raise KsmrunError(
            f"{image.name} is for {image.architecture}, and the launcher of this host is "
            f"for {machine}",
            f"run this on a host of {image.architecture}",
        )


def key_lines(keys: Iterable[ContainerKey]) -> list[str]:
    """Return the lines that say how to make the keys that containers read."""
    return [
        line
        for key in keys
        for line in (
            f"The key, new at each boot: {key.command}",
            f"Only user {key.user} reads it: programs of others keep the kernel's layout.",
        )
    ]
