"""`ksmrun wrap image`: Dockerfile lines with which an image starts merged."""

from __future__ import annotations

from dataclasses import asdict

import typer

from ksmrun.commands.declare import declare
from ksmrun.commands.output import print_file, print_json, say
from ksmrun.commands.wrap.container_options import key_lines, plan_launcher, refuse_foreign
from ksmrun.facts.image import parse_image, read_image
from ksmrun.facts.text import read_input
from ksmrun.model.errors import KsmrunError
from ksmrun.model.wrap import LAUNCHERS
from ksmrun.options.containers import IMAGE, ImageOptions
from ksmrun.wrap.container import KEY_FILE, composed, dockerfile

SCHEMA = "ksmrun-wrap-image-1"


def register(group: typer.Typer) -> None:
    """Add the command."""
    declare(group, IMAGE, image)


def image(options: ImageOptions) -> None:
    """Print the lines, or JSON."""
    name = options.name
    if name == "-":
        found = parse_image(read_input(name, "pipe in what an inspection prints"), "stdin")
    else:
        found = read_image(name, options.engine)
    refuse_foreign(found)
    if set(LAUNCHERS) & set(found.entrypoint):
        raise KsmrunError(
            f"{found.name} is already wrapped", "give the image that it was built from"
        )
    launcher = plan_launcher(options)
    if not composed(found, None, ()):
        say(f"{found.name} has no entrypoint and no command; give a command to `docker run`")
    lines = []
    if launcher.key is not None:
        lines = key_lines([launcher.key])
        lines.append(f"Start it with: --volume {launcher.key.path}:{KEY_FILE}:ro")
    text = "".join(f"# {line}\n" for line in lines)
    text += dockerfile(found, launcher.words, with_shims=launcher.uses_shim)
    if options.as_json:
        argv = (*launcher.words, *composed(found, None, ()))
        print_json(SCHEMA, image=asdict(found), dockerfile=text, argv=argv)
    else:
        print_file(text)
