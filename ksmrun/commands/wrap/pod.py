"""`ksmrun wrap pod`: Kubernetes manifests rewritten so that their containers start merged."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ksmrun.commands.declare import Registry, declare
from ksmrun.commands.output import print_file, print_line, say
from ksmrun.commands.wrap.container_options import key_lines, plan_launcher, refuse_foreign
from ksmrun.commands.wrap.pod_class_options import (
    annotations_of,
    class_name,
    refuse_domain,
    refuse_for_class,
)
from ksmrun.facts.image import read_image
from ksmrun.facts.text import read_input
from ksmrun.model.container import ImageConfig
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.launch import LayoutMode
from ksmrun.model.wrap import INSTALL_LAUNCHER, LIBEXEC
from ksmrun.options.containers import POD, By, PodOptions, Source
from ksmrun.support.words import shortened
from ksmrun.support.yaml import require_yaml

if TYPE_CHECKING:
    from ksmrun.wrap.pod import Rewritten, Wrap


def register(registry: Registry) -> None:
    """Add the command."""
    declare(registry, POD, pod)


def pod(options: PodOptions) -> None:
    """Print the manifests, and on stderr what was done."""
    require_yaml()
    # Imported here: the other commands need no YAML.
    from ksmrun.wrap.pod import rewrite
    from ksmrun.wrap.pod_kinds import with_given

    paths = with_given(options.pod_path)
    names_class = options.runtime_class is not None
    by = options.by or (By.RUNTIME_CLASS if names_class else By.LAUNCHER)
    if by is By.LAUNCHER and names_class:
        raise UsageError("--runtime-class is for --by runtime-class", "leave out one of them")
    text = read_input(options.file, "give the file of a manifest, or - for stdin")
    wrap = _by_class(options) if by is By.RUNTIME_CLASS else _by_launcher(options)
    found = rewrite(
        text,
        wrap,
        paths=paths,
        containers=options.container,
        namespace=options.namespace,
    )
    for each in found.left:
        say(f"{each.name} {each.why}")
    if options.strict and any(not each.is_meant for each in found.left):
        raise KsmrunError(
            "with --strict every manifest with containers has to be rewritten",
            "remove the ones named above, or leave out --strict",
        )
    if not found.has_comments:
        say("comments and anchors are lost, and aliases are written out; keep the original file")
    for line in _notes(options, by, found):
        if text.lstrip().startswith(("{", "[")):
            # JSON has no comments.
            say(line, elsewhere=True)
        else:
            print_line(f"# {line}", elsewhere=True)
    print_file(found.text)
    say(f"merged: {', '.join(found.names)}")


def _by_class(options: PodOptions) -> Wrap:
    from ksmrun.wrap.pod_class import by_class

    refuse_for_class(options)
    return by_class(class_name(options), annotations_of(options))


def _by_launcher(options: PodOptions) -> Wrap:
    from ksmrun.wrap.pod_launcher import PodRequest, by_launcher

    refuse_domain(options)

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
        image=options.launcher_image if options.source is Source.IMAGE else None,
        containers=options.container,
        key=None if launcher.key is None else replace(launcher.key, namespace=options.namespace),
    )
    return by_launcher(request, look)


# Fields of a pod that cannot change once it exists (k8s.io/kubernetes/pkg/apis/core/validation,
# ValidatePodUpdate; batch/validation: a Job's template; Agones makes a GameServer's pod once), and
# kinds that leave running pods alone.
REPLACED = ("Pod", "Job", "GameServer", "BroadcastJob")
KEEPING = ("ReplicaSet", "ReplicationController")
KNATIVE = "serving.knative.dev"


def _undo(kinds: Sequence[str]) -> list[str]:
    """Return how to undo the change, by the manifests' kinds."""
    lines = []
    if set(kinds) - set(REPLACED):
        lines.append("To remove it: apply the original manifest.")
    if fixed := [kind for kind in kinds if kind in REPLACED]:
        lines.append(
            f"An existing {' or '.join(fixed)} cannot be changed: "
            "`kubectl replace --force -f FILE` deletes and recreates it."
        )
        lines.append("To remove it: do that with the original manifest.")
    if keeping := [kind for kind in kinds if kind in KEEPING]:
        lines.append(
            f"A {' or '.join(keeping)} does not change pods that exist: delete them afterwards."
        )
    return lines


def _notes(options: PodOptions, by: By, found: Rewritten) -> list[str]:
    names = ", ".join(found.names)
    lines = [f"Rewritten by `ksmrun wrap pod`: the containers of {names} start merged."]
    lines += _undo([kind for _, kind in found.changed])
    if by is By.RUNTIME_CLASS:
        lines.append(
            f"The cluster needs the RuntimeClass {class_name(options)}, and its nodes the runtime: "
            "see examples/kubernetes"
        )
        if options.domain is not None:
            lines.append(
                f'On each node: "domains": {{"{options.domain}": {{}}}} in /etc/ksmrun/oci.json, '
                f"and: sudo ksmrun trust claim {options.domain}"
            )
    elif options.source is Source.HOST:
        lines.append(f"On each node beforehand: {INSTALL_LAUNCHER}")
    else:
        image = options.launcher_image
        lines.append(f"The image {image}, which has cp too, is made beside a copy of {LIBEXEC} by:")
        lines += ["    FROM busybox", f"    COPY {LIBEXEC.name} {LIBEXEC}"]
    if any(group == KNATIVE for group, _ in found.changed):
        lines.append(
            f'Knative takes it with kubernetes.{_knative(options, by)}: "enabled" in the ConfigMap '
            "config-features"
        )
    if found.keys:
        lines += ["On each node:", *key_lines(found.keys)]
    elif options.layout is LayoutMode.SHARED:
        path = f"/run/ksmrun/layout/units/{options.layout_group}.key"
        lines.append(f"On each node: sudo ksmrun layout key {options.layout_group} --output {path}")
    return lines


def _knative(options: PodOptions, by: By) -> str:
    """Return the feature of Knative that the change needs (serving: features.yaml)."""
    if by is By.RUNTIME_CLASS:
        return "podspec-runtimeclassname"
    is_image = options.source is Source.IMAGE
    return "podspec-init-containers" if is_image else "podspec-volumes-hostpath"


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
