"""`ksmrun wrap compose`: a Compose override file with which the services start merged."""

from __future__ import annotations

import shlex
from pathlib import Path
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
from ksmrun.commands.output import print_file, print_line, say
from ksmrun.facts.compose import read_project
from ksmrun.facts.image import read_image
from ksmrun.host.ours import remove_ours, write_ours
from ksmrun.model import KsmrunError, LayoutMode, LayoutScope, Mechanism, SeedMode, ThpMode
from ksmrun.model.container import ComposeProject, ComposeService, Engine, ImageConfig
from ksmrun.model.wrap import LAUNCHER
from ksmrun.wrap.compose import needs_image, override, render
from ksmrun.wrap.header import header


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command(
        "compose",
        epilog="Example: ksmrun wrap compose compose.yaml --output compose.ksmrun.yaml",
    )(compose)


def compose(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A Compose file; - for stdin.")],
    service: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE]...", help="All, unless named.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it there, instead of only showing it."),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="FILE is what --output wrote: delete it.")
    ] = False,
    image: Annotated[
        list[str] | None,
        typer.Option(metavar="SERVICE=IMAGE", help="The image of a service that the file builds."),
    ] = None,
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
) -> None:
    """Print a Compose override file that makes services start merged.

    Then: docker compose -f FILE -f compose.ksmrun.yaml up. The launcher is mounted into the
    containers; no image changes.
    """
    if remove:
        if not remove_ours(Path(file)):
            raise KsmrunError(f"{file} is not there", "name the file that --output wrote")
        print_line(f"{file} deleted")
        return
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
    project, how = read_project(file)
    say(f"read by {how}")
    named = dict(_named_image(text) for text in image or ())
    launcher = plan_launcher(options)
    overrides = []
    for each in _chosen(project, service or []):
        _refuse_wrapped(each)
        config = _config(each, named, engine) if needs_image(each) else None
        if config is not None and not (each.entrypoint or each.command or _starts(config)):
            raise KsmrunError(f"{each.name} has no command at all", "set its command: in the file")
        overrides.append(override(each, config, launcher.words))
    keys = [] if launcher.key is None else [launcher.key]
    target = "compose.ksmrun.yaml" if output is None else str(output)
    text = header(
        f"wrap compose {file}",
        "services start with their memory merged",
        f"ksmrun wrap compose --remove {shlex.quote(target)}",
    )
    text += f"# Use it with: docker compose -f {file} -f {target} up\n"
    text += "".join(f"# {line}\n" for line in key_lines(keys))
    text += render(overrides, project.version, keys[0].path if keys else None)
    print_file(text)
    if output is not None:
        write_ours(output, text)
        say(f"{output} written")


def _chosen(project: ComposeProject, names: list[str]) -> list[ComposeService]:
    known = {service.name: service for service in project.services}
    for name in names:
        if name not in known:
            raise KsmrunError(f"there is no service {name}", f"there are: {', '.join(known)}")
    return [service for name, service in known.items() if name in names or not names]


def _refuse_wrapped(service: ComposeService) -> None:
    if str(LAUNCHER) in (service.entrypoint or ""):
        raise KsmrunError(f"{service.name} is wrapped already", "give the file without the other")


def _named_image(text: str) -> tuple[str, str]:
    service, mark, name = text.partition("=")
    if not mark or not name:
        raise KsmrunError(
            f"--image is SERVICE=IMAGE, not {text!r}", "for example --image web=my/web"
        )
    return service, name


def _config(service: ComposeService, named: dict[str, str], engine: Engine) -> ImageConfig:
    """Return the configuration of the first of its images that is present."""
    if service.extends:
        raise KsmrunError(
            f"what {service.name} starts may be in the service that it extends",
            f"set entrypoint: (or, where that is empty, command:) of {service.name} in the file",
        )
    if service.name in named:
        config = read_image(named[service.name], engine)
        refuse_foreign(config)
        return config
    error: KsmrunError | None = None
    for name in service.images:
        try:
            config = read_image(name, engine)
        except KsmrunError as caught:
            error = error or caught
            continue
        refuse_foreign(config)
        return config
    assert error is not None
    if "$" in service.images[0]:
        todo = f"name it: --image {service.name}=IMAGE"
    elif service.builds:
        todo = f"build it first, and if it is called otherwise: --image {service.name}=IMAGE"
    else:
        todo = f"pull it first, or set entrypoint: of {service.name} in the file"
    raise KsmrunError(f"what {service.name} starts is not known: {error.what}", todo)


def _starts(image: ImageConfig) -> bool:
    return bool(image.entrypoint or image.cmd)
