"""Options that `ksmrun wrap image`, `compose` and `pod` share: the launcher's in a container."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import typer

from ksmrun.commands.numbers import whole
from ksmrun.commands.output import say
from ksmrun.facts.launcher import cached_probe, shim_path
from ksmrun.host.keys import group_label, keys_folder
from ksmrun.model import (
    KsmrunError,
    LayoutMode,
    LayoutScope,
    Mechanism,
    Refusal,
    Request,
    SeedMode,
    SharedLayout,
    TargetFacts,
    ThpMode,
)
from ksmrun.model.container import Engine, ImageConfig, Libc
from ksmrun.model.wrap import LAUNCHER, LIBEXEC, ContainerKey
from ksmrun.plan.launch import plan_launch
from ksmrun.plan.mechanism import choose
from ksmrun.wrap.container import KEY_FILE

# Go's names; the launcher for x86_64 starts 32-bit programs as well.
LAUNCHED = {"x86_64": ("amd64", "386"), "aarch64": ("arm64",)}

ENGINE = Annotated[Engine, typer.Option(help="Who is asked what an image starts.")]
LIBC = Annotated[
    Libc | None,
    typer.Option(
        help="What the container's programs are linked with: the shim for kernels before 6.17, and "
        "for Lua's seeds, needs it."
    ),
]
MECHANISM = Annotated[Mechanism, typer.Option(help="As for `ksmrun run`.")]
REQUIRE = Annotated[bool, typer.Option("--require", help="Do not start unmerged.")]
MAP_COUNT = Annotated[
    int | None,
    typer.Option(
        "--require-max-map-count",
        metavar="N",
        parser=whole(1, (1 << 31) - 1),
        help="Do not start where the host's vm.max_map_count is less.",
    ),
]
THP = Annotated[ThpMode, typer.Option(help="As for `ksmrun run`.")]
LAYOUT = Annotated[LayoutMode, typer.Option(help="As for `ksmrun run`.")]
LAYOUT_GROUP = Annotated[str, typer.Option(metavar="NAME", help="As for `ksmrun run`.")]
LAYOUT_SCOPE = Annotated[LayoutScope, typer.Option(help="As for `ksmrun run`.")]
LAYOUT_USER = Annotated[
    int,
    typer.Option(
        metavar="UID",
        # include/linux/uidgid.h: -1 is no user.
        parser=whole(0, (1 << 32) - 2),
        help="The host's number of the container's user, who alone reads the layout's key.",
    ),
]
SEEDS = Annotated[SeedMode, typer.Option(help="As for `ksmrun run`.")]


@dataclass(frozen=True)
class Options:
    """Options as on the command line."""

    libc: Libc | None
    mechanism: Mechanism
    require: bool
    map_count: int | None
    thp: ThpMode
    layout: LayoutMode
    layout_group: str
    layout_scope: LayoutScope
    seeds: SeedMode
    layout_user: int = 0


@dataclass(frozen=True)
class Launcher:
    """Launcher in a container. words: its path, its options and "--".

    key: of the host's containers, for a layout.
    """

    words: tuple[str, ...]
    uses_shim: bool
    key: ContainerKey | None


def plan_launcher(options: Options) -> Launcher:
    """Return the launcher's words, by what this host's kernel needs. Prints warnings on stderr."""
    layout, key = None, None
    if options.layout is LayoutMode.SHARED:
        group_label(keys_folder(), options.layout_group)
        key = ContainerKey(options.layout_group, None, options.layout_user)
        layout = SharedLayout(os.fsencode(KEY_FILE), None, options.seeds, options.layout_scope)
    request = Request(
        # The image shows later what the program is; the plan does not depend on it.
        command=(b"",),
        require=options.require,
        thp=options.thp,
        mechanism=options.mechanism,
        layout=layout,
    )
    probe = cached_probe()
    target = TargetFacts(None, dynamic=True, libc=options.libc)
    known = shim_path(target, LIBEXEC)
    shim = None if options.libc is None else known
    plan = plan_launch(request, os.fsencode(LAUNCHER), probe, target, shim=shim)
    if isinstance(plan, Refusal):
        raise KsmrunError(plan.what, plan.todo)
    words = [os.fsdecode(word) for word in plan.argv[: plan.argv.index(b"--")]]
    if options.map_count is not None:
        words.append(f"--require-max-map-count={options.map_count}")
    wanted = choose(request, probe, target, known)
    if shim is None and wanted.mechanism in (Mechanism.PRELOAD, Mechanism.MARK):
        say(f"on this kernel {wanted.reason}; to do: --libc glibc or --libc musl, as in the image")
    for warning in plan.warnings:
        say(warning)
    if not LAUNCHER.exists():
        say(f"{LAUNCHER} is not there; to do: sudo ksmrun wrap install")
    uses_shim = any(word.startswith("--preload=") for word in words)
    return Launcher((*words, "--"), uses_shim, key)


def refuse_foreign(image: ImageConfig) -> None:
    """Raise KsmrunError for an image in which this host's launcher cannot run."""
    if image.os not in (None, "", "linux"):
        raise KsmrunError(f"{image.name} is an image for {image.os}", "there is no KSM in it")
    machine = os.uname().machine
    known = LAUNCHED.get(machine, ())
    if known and image.architecture not in (None, "", *known):
        raise KsmrunError(
            f"{image.name} is for {image.architecture}, and the launcher here for {machine}",
            f"do this on a host of {image.architecture}, with the launcher that is there",
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
