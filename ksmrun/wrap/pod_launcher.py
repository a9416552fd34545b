"""Pods whose containers start by the launcher, from an image or the host. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from yaml.nodes import MappingNode, Node, SequenceNode

from ksmrun.model.container import ImageConfig
from ksmrun.model.errors import KsmrunError
from ksmrun.model.wrap import LIBEXEC, ContainerKey
from ksmrun.wrap.container import KEY_FILE
from ksmrun.wrap.pod import Wrap, Wrapped, refuse_wrapped
from ksmrun.wrap.pod_kinds import Pod
from ksmrun.wrap.splice import Splicer, get, items_of, text_of

VOLUME = "ksmrun"
KEY_VOLUME = "ksmrun-layout-key"
# Path in the launcher's image, and path to which its init container copies it.
BROUGHT_FROM, BROUGHT_TO = LIBEXEC, "/ksmrun"
# Resources that an init container copies: those of QoS classes and quotas, not GPUs.
RESOURCES = ("cpu", "memory", "ephemeral-storage")
CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
# Returns what an image starts, by container and image.
Look = Callable[[str, str], ImageConfig]


@dataclass(frozen=True)
class PodRequest:
    """Options of a rewrite. launcher: its words, with "--" at the end.

    image: contains the launcher; None: it comes from the host. containers: their names, all if
    empty. key: for a layout; its namespace and user apply where the manifest names none.
    """

    launcher: tuple[str, ...]
    image: str | None
    containers: tuple[str, ...] = ()
    key: ContainerKey | None = None


def by_launcher(request: PodRequest, look: Look) -> Wrap:
    """Return what wraps a pod. look: called if a container names no command."""
    return lambda pod, splicer: _wrap(pod, _Work(splicer, request, look))


@dataclass(frozen=True)
class _Work:
    splicer: Splicer
    request: PodRequest
    look: Look


def _wrap(pod: Pod, work: _Work) -> Wrapped:
    request = work.request
    chosen = [
        node
        for node in items_of(get(pod.spec, "containers"))
        if not request.containers or text_of(get(node, "name")) in request.containers
    ]
    if not chosen:
        return Wrapped()
    keys: list[ContainerKey] = []
    for container in chosen:
        if not isinstance(container, MappingNode):
            raise KsmrunError("a container is not a mapping", "fix the manifest")
        key = None if request.key is None else _key(pod, container, request.key)
        _wrap_container(container, work, key)
        keys += [] if key is None else [key]
    _add_volumes(pod.spec, work, list(dict.fromkeys(keys)))
    return Wrapped(tuple(text_of(get(node, "name")) for node in chosen), tuple(keys))


def _key(pod: Pod, container: MappingNode, default: ContainerKey) -> ContainerKey:
    """Return the key that the container reads: for its pod's namespace and its user."""
    user = default.user
    for node in (pod.spec, container):
        told = text_of(get(get(node, "securityContext"), "runAsUser"))
        user = int(told) if told.isascii() and told.isdigit() else user
    return replace(default, namespace=pod.name.namespace or default.namespace, user=user)


def _volume(key: ContainerKey) -> str:
    return f"{KEY_VOLUME}-{key.user}"


def _wrap_container(container: MappingNode, work: _Work, key: ContainerKey | None) -> None:
    name = text_of(get(container, "name"))
    command = _words(get(container, "command"), f"command of {name}")
    refuse_wrapped(container)
    words = [*work.request.launcher]
    if not command:
        # Kubernetes drops both of the image's if command is set, and CMD if args are.
        image = work.look(name, text_of(get(container, "image")))
        words += image.entrypoint
        args = get(container, "args")
        if not _words(args, f"args of {name}"):
            if not (image.entrypoint or image.cmd):
                raise KsmrunError(f"the container {name} has no command", "set its command:")
            work.splicer.prepend(container, "args", [_escaped(word) for word in image.cmd])
    mounts = [_mount(VOLUME, str(LIBEXEC))]
    if key is not None:
        mounts.append(_mount(_volume(key), KEY_FILE))
    taken = [PurePosixPath(text_of(get(each, "mountPath"))) for each in _mounts(container)]
    for path in (str(LIBEXEC), KEY_FILE):
        if PurePosixPath(path) in taken:
            raise KsmrunError(f"the container {name} already has a mount at {path}", "move it")
    work.splicer.prepend(container, "volumeMounts", mounts)
    work.splicer.prepend(container, "command", [_escaped(word) for word in words])


def _mounts(container: MappingNode) -> list[Node]:
    return items_of(get(container, "volumeMounts"))


def _add_volumes(pod: MappingNode, work: _Work, keys: Sequence[ContainerKey]) -> None:
    own = (VOLUME, *(_volume(key) for key in keys))
    for volume in items_of(get(pod, "volumes")):
        if text_of(get(volume, "name")) in own:
            raise KsmrunError(
                f"the pod already has a volume {text_of(get(volume, 'name'))}", "rename it"
            )
    added: list[object]
    if work.request.image is None:
        added = [{"name": VOLUME, "hostPath": {"path": str(LIBEXEC), "type": "Directory"}}]
    else:
        for node in (each for kind in CONTAINERS for each in items_of(get(pod, kind))):
            if text_of(get(node, "name")) == VOLUME:
                raise KsmrunError(f"the pod already has a container {VOLUME}", "rename it")
        added = [{"name": VOLUME, "emptyDir": {}}]
        # Only the first: others may have been wrapped by hand.
        work.splicer.prepend(pod, "initContainers", [_bringer(work.request.image, pod)])
    for key in keys:
        added.append({"name": _volume(key), "hostPath": {"path": key.path, "type": "File"}})
    work.splicer.prepend(pod, "volumes", added)


def _bringer(image: str, pod: MappingNode) -> dict[str, object]:
    """Return the init container, within the strictest Pod Security Standard."""
    resources = _resources(pod)
    return {
        "name": VOLUME,
        "image": image,
        "command": ["cp", "-R", f"{BROUGHT_FROM}/.", BROUGHT_TO],
        **({"resources": resources} if resources else {}),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": VOLUME, "mountPath": BROUGHT_TO}],
    }


def _resources(pod: MappingNode) -> dict[str, dict[str, str]]:
    """Return the resources of the first container that has any, or none.

    The init container ends before that one starts, so the pod needs no more, keeps its QoS class
    (without any: BestEffort), and fits the same quota (kubernetes.io: "Init Containers").
    """
    for container in items_of(get(pod, "containers")):
        resources = get(container, "resources")
        found = {}
        for part in ("requests", "limits"):
            values = {name: text_of(get(get(resources, part), name)) for name in RESOURCES}
            if kept := {name: value for name, value in values.items() if value}:
                found[part] = kept
        if found:
            return found
    return {}


def _mount(volume: str, path: str) -> dict[str, object]:
    return {"name": volume, "mountPath": path, "readOnly": True}


def _escaped(word: str) -> str:
    """Escape $: Kubernetes substitutes $(NAME), and $$ stands for $; any other $ stays.

    k8s.io/kubernetes/third_party/forked/golang/expansion. Podman 4 substitutes nothing.
    """
    return re.sub(r"\$(?=[$(])", "$$", word)


def _words(node: Node | None, what: str) -> list[Node]:
    if node is None:
        return []
    if not isinstance(node, SequenceNode):
        raise KsmrunError(f"the {what} is not a list", "fix the manifest: it has to be one")
    return list(node.value)
