"""`ksmrun wrap compose`: a Compose override file with which the services start merged."""

from __future__ import annotations

import shlex
from pathlib import Path

from ksmrun.commands.declare import Registry, declare
from ksmrun.commands.output import print_file, print_line, say
from ksmrun.commands.wrap.container_options import key_lines, plan_launcher, refuse_foreign
from ksmrun.facts.compose import read_project
from ksmrun.facts.image import read_image
from ksmrun.host.owned_files import remove_ours, write_ours
from ksmrun.launch.domain import require_domain
from ksmrun.model.container import ComposeProject, ComposeService, Engine, ImageConfig
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.wrap import LAUNCHERS
from ksmrun.options.containers import COMPOSE, ComposeOptions
from ksmrun.support.words import shortened
from ksmrun.wrap.compose import needs_image, override, render
from ksmrun.wrap.header import comment, header


def register(registry: Registry) -> None:
    """Add the command."""
    declare(registry, COMPOSE, compose)


def compose(options: ComposeOptions) -> None:
    """Print the override, write it, or delete it."""
    file, output = options.file, options.output
    if options.remove:
        if not remove_ours(Path(file)):
            raise KsmrunError(f"{file} does not exist", "give the file that --output wrote")
        print_line(f"{file} deleted")
        return
    project, how = read_project(file)
    say(f"services read from {how}")
    named = dict(_named_image(text) for text in options.image)
    if options.domain is not None:
        require_domain(options.domain)
    launcher = plan_launcher(options, options.domain)
    overrides = []
    for each in _chosen(project, options.service):
        _refuse_wrapped(each)
        config = _config(each, named, options.engine) if needs_image(each) else None
        if config is not None and not (each.entrypoint or each.command or _starts(config)):
            raise KsmrunError(f"{each.name} has no command", "set its command: in the file")
        overrides.append(override(each, config, launcher.words))
    keys = [] if launcher.key is None else [launcher.key]
    target = "compose.ksmrun.yaml" if output is None else str(output)
    text = header(
        f"wrap compose {file}",
        "services start with their memory merged",
        f"ksmrun wrap compose --remove {shlex.quote(target)}",
    )
    use = f"Use it with: docker compose -f {shlex.quote(file)} -f {shlex.quote(target)} up"
    text += "".join(map(comment, (use, *key_lines(keys), *_domain_lines(options.domain))))
    text += render(
        overrides,
        project.version,
        keys[0].path if keys else None,
        has_domain=options.domain is not None,
    )
    print_file(text)
    if output is not None:
        write_ours(output, text)
        say(f"{output} written")


def _domain_lines(domain: str | None) -> list[str]:
    """Return what has to be done before the services of a trust domain start."""
    if domain is None:
        return []
    return [
        f"Before they start, also after a boot: sudo ksmrun trust claim {domain}",
        "Until then they start without merging.",
    ]


def _chosen(project: ComposeProject, names: tuple[str, ...]) -> list[ComposeService]:
    known = {service.name: service for service in project.services}
    for name in names:
        if name not in known:
            raise KsmrunError(f"there is no service {name}", f"there are: {', '.join(known)}")
    return [service for name, service in known.items() if name in names or not names]


def _refuse_wrapped(service: ComposeService) -> None:
    if any(each in (service.entrypoint or "") for each in LAUNCHERS):
        raise KsmrunError(f"{service.name} is already wrapped", "leave out the file that wraps it")


def _named_image(text: str) -> tuple[str, str]:
    service, mark, name = text.partition("=")
    if not mark or not name:
        raise UsageError(
            f"--image={shortened(text)} is not SERVICE=IMAGE", "give for example --image web=my/web"
        )
    return service, name


def _config(service: ComposeService, named: dict[str, str], engine: Engine) -> ImageConfig:
    """Return the configuration of the first of its images that is present."""
    if service.extends:
        raise KsmrunError(
            f"the command of {service.name} may be in the service that it extends",
            f"set entrypoint: of {service.name} in the file, or command: if it has no entrypoint",
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
        todo = (
            f"build it first; if its image has another name, give it: --image {service.name}=IMAGE"
        )
    else:
        todo = f"pull it first, or set entrypoint: of {service.name} in the file"
    raise KsmrunError(f"the command of {service.name} is not known: {error.what}", todo)


def _starts(image: ImageConfig) -> bool:
    return bool(image.entrypoint or image.cmd)
