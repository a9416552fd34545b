"""`ksmrun wrap pod`: Kubernetes manifests rewritten so that their containers start merged."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from ksmrun.commands.declare import declare
from ksmrun.commands.output import print_file, print_line, say
from ksmrun.commands.wrap.container_options import key_lines, plan_launcher, refuse_foreign
from ksmrun.facts.image import read_image
from ksmrun.facts.text import read_input
from ksmrun.model.container import ImageConfig
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.wrap import INSTALL_LAUNCHER, LIBEXEC
from ksmrun.options.containers import POD, PodOptions, Source
from ksmrun.support.words import shortened
from ksmrun.support.yaml import require_yaml

if TYPE_CHECKING:
    from ksmrun.wrap.pod import Rewritten


def register(group: typer.Typer) -> None:
    """Add the command."""
    declare(group, POD, pod)


def pod(options: PodOptions) -> None:
    """Print the manifests, and on stderr what was done."""
    require_yaml()
    # Imported here: the other commands need no YAML.
    from ksmrun.wrap.pod import PodRequest, rewrite

    file, source, launcher_image = options.file, options.source, options.launcher_image
    text = read_input(file, "give the file of a manifest, or - for stdin")
    named = dict(_named_command(each) for each in options.entrypoint)

    def look(name: str, image: str) -> ImageConfig:
        if name in named:
            return ImageConfig(image, named[name], ())
        try:
            config = read_image(image, options.engine)
        except KsmrunError as error:
            raise KsmrunError(
                f"the command of the container {name} is not known: {error.what}",
                f"set its command: in the manifest, or give --entrypoint {name}='COMMAND'",
            ) from error
        refuse_foreign(config)
        return config

    launcher = plan_launcher(options)
    request = PodRequest(
        launcher=launcher.words,
        image=launcher_image if source is Source.IMAGE else None,
        containers=options.container,
        key=None if launcher.key is None else replace(launcher.key, namespace=options.namespace),
    )
    found = rewrite(text, request, look)
    for each in found.left:
        say(f"{each.name} {each.why}")
    if options.strict and any(not each.is_meant for each in found.left):
        raise KsmrunError(
            "with --strict every manifest with containers has to be rewritten",
            "remove the ones named above, or leave out --strict",
        )
    if not found.has_comments:
        say("comments and anchors are lost, and aliases are written out; keep the original file")
    for line in _notes(source, launcher_image, found):
        if text.lstrip().startswith(("{", "[")):
            # JSON has no comments.
            say(line, elsewhere=True)
        else:
            print_line(f"# {line}", elsewhere=True)
    print_file(found.text)
    say(f"merged: {', '.join(found.names)}")


# Fields of a pod that cannot change once it exists (k8s.io/kubernetes/pkg/apis/core/validation,
# ValidatePodUpdate; batch/validation: a Job's template), and kinds that leave running pods alone.
REPLACED = ("Pod", "Job")
KEEPING = ("ReplicaSet", "ReplicationController")


def _undo(kinds: tuple[str, ...]) -> list[str]:
    """Return how to undo the change, by the manifests' kinds."""
    lines = []
    if set(kinds) - set(REPLACED):
        lines.append("To remove it: apply the original manifest.")
    if fixed := [kind for kind in kinds if kind in REPLACED]:
        lines.append(
            f"An existing {' or '.join(fixed)} cannot be changed: "
            "`kubectl replace --force -f FILE` deletes and recreates it"
        )
        lines.append("(pods and all). To remove it: do that with the original manifest.")
    if keeping := [kind for kind in kinds if kind in KEEPING]:
        lines.append(
            f"A {' or '.join(keeping)} does not change pods that exist: delete them afterwards."
        )
    return lines


def _notes(source: Source, image: str, found: Rewritten) -> list[str]:
    names = ", ".join(found.names)
    lines = [f"Rewritten by `ksmrun wrap pod`: {names} start with their memory merged."]
    lines += _undo(found.kinds)
    if source is Source.HOST:
        lines.append(f"On each node beforehand: {INSTALL_LAUNCHER}")
    else:
        lines.append(f"The image {image}, which has cp too, is made beside a copy of {LIBEXEC} by:")
        lines += ["    FROM busybox", f"    COPY {LIBEXEC.name} {LIBEXEC}"]
    if found.keys:
        lines += ["On each node:", *key_lines(found.keys)]
    return lines


def _named_command(text: str) -> tuple[str, tuple[str, ...]]:
    name, mark, command = text.partition("=")
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError(
            f"--entrypoint={shortened(text)}: {error}", "quote it as in a shell"
        ) from error
    if not mark or not words:
        raise UsageError(
            f"--entrypoint={shortened(text)} is not NAME=COMMAND",
            "give for example --entrypoint web='nginx -g \"daemon off;\"'",
        )
    return name, words
