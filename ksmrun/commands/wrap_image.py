"""`ksmrun wrap image`: Dockerfile lines with which an image starts merged."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from ksmrun.commands.container_options import (
    ENGINE,
    LAYOUT,
    LAYOUT_GROUP,
    LAYOUT_SCOPE,
    LAYOUT_USER,
    LIBC,
    MAP_COUNT,
    MECHANISM,
    REQUIRE,
    SEEDS,
    THP,
    Options,
    key_lines,
    plan_launcher,
    refuse_foreign,
)
from ksmrun.commands.output import print_file, print_json, say
from ksmrun.facts.image import parse_image, read_image
from ksmrun.model import KsmrunError, LayoutMode, LayoutScope, Mechanism, SeedMode, ThpMode
from ksmrun.model.container import Engine
from ksmrun.model.wrap import LAUNCHER
from ksmrun.wrap.container import KEY_FILE, composed, dockerfile

SCHEMA = "ksmrun-wrap-image-1"


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("image", epilog="Example: ksmrun wrap image my/server:1.2 >>Dockerfile")(image)


def image(
    name: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="A name, a saved image (./image.tar, oci:FOLDER), or - for the output of "
            "`docker image inspect` on stdin.",
        ),
    ],
    engine: ENGINE = Engine.AUTO,
    libc: LIBC = None,
    mechanism: MECHANISM = Mechanism.AUTO,
    require: REQUIRE = False,
    require_max_map_count: MAP_COUNT = None,
    thp: THP = ThpMode.KEEP,
    layout: LAYOUT = LayoutMode.RANDOM,
    layout_group: LAYOUT_GROUP = "default",
    layout_scope: LAYOUT_SCOPE = LayoutScope.PROGRAM,
    layout_user: LAYOUT_USER = 0,
    seeds: SEEDS = SeedMode.SHARED,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print Dockerfile lines that make an image start merged. Put them after FROM IMAGE.

    They put the launcher before the image's own entrypoint and command; user, folder and all else
    stay.
    """
    options = Options(
        libc=libc,
        mechanism=mechanism,
        require=require,
        map_count=require_max_map_count,
        thp=thp,
        layout=layout,
        layout_group=layout_group,
        layout_scope=layout_scope,
        seeds=seeds,
        layout_user=layout_user,
    )
    found = parse_image(sys.stdin.read(), "stdin") if name == "-" else read_image(name, engine)
    refuse_foreign(found)
    if str(LAUNCHER) in found.entrypoint:
        raise KsmrunError(f"{found.name} is wrapped already", "give the image that it was made of")
    launcher = plan_launcher(options)
    if not composed(found, None, ()):
        say(f"{found.name} has no entrypoint and no command: `docker run` has to name one")
    lines = []
    if launcher.key is not None:
        lines = key_lines([launcher.key])
        lines.append(f"Start it with: --volume {launcher.key.path}:{KEY_FILE}:ro")
    text = "".join(f"# {line}\n" for line in lines)
    text += dockerfile(found, launcher.words, with_shims=launcher.uses_shim)
    if as_json:
        argv = (*launcher.words, *composed(found, None, ()))
        print_json(SCHEMA, image=asdict(found), dockerfile=text, argv=argv)
    else:
        print_file(text)
