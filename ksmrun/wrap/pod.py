"""Rewrite Kubernetes manifests so that their containers start merged. Pure.

What is not changed stays as it was, comments and quotes included: see splice.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

from ksmrun.model.container import ImageConfig
from ksmrun.model.errors import KsmrunError
from ksmrun.model.wrap import LAUNCHERS, LIBEXEC, ContainerKey
from ksmrun.wrap.container import KEY_FILE
from ksmrun.wrap.pod_left import POD_PATHS, Left, left_of
from ksmrun.wrap.splice import Splicer, get, items_of, text_of

VOLUME = "ksmrun"
KEY_VOLUME = "ksmrun-layout-key"
# Path in the launcher's image, and path to which its init container copies it.
BROUGHT_FROM, BROUGHT_TO = LIBEXEC, "/ksmrun"
# Resources that an init container copies: those of QoS classes and quotas, not GPUs.
RESOURCES = ("cpu", "memory", "ephemeral-storage")
CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


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


@dataclass(frozen=True)
class Rewritten:
    """Result of a rewrite. names: of the containers that start merged. keys: needed on the nodes.

    kinds: of the changed manifests. left: manifests with containers that were not changed.
    has_comments: whether the text still has its comments.
    """

    text: str
    names: tuple[str, ...]
    keys: tuple[ContainerKey, ...]
    kinds: tuple[str, ...]
    left: tuple[Left, ...]
    has_comments: bool


@dataclass(frozen=True)
class _Pod:
    spec: MappingNode
    kind: str
    namespace: str


Look = Callable[[str, str], ImageConfig]


@dataclass
class _Work:
    """State that the parts of a rewrite share."""

    splicer: Splicer
    request: PodRequest
    look: Look
    names: list[str] = field(default_factory=list)
    keys: list[ContainerKey] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)


def rewrite(text: str, request: PodRequest, look: Look) -> Rewritten:
    """Rewrite the manifests. Raises KsmrunError.

    look: returns what an image starts, by container and image; called if a container names no
    command.
    """
    try:
        return _rewrite(_Work(Splicer(text), request, look))
    except yaml.YAMLError as error:
        raise KsmrunError(
            f"the manifest is not valid YAML: {' '.join(str(error).split())}", "fix the manifest"
        ) from error
    except RecursionError as error:
        raise KsmrunError("the manifest is nested too deeply", "fix the manifest") from error


def _rewrite(work: _Work) -> Rewritten:
    for document in _flat(work.splicer.documents):
        if (found := left_of(document)) is not None:
            work.left.append(found)
        elif (pod := _pod(document)) is not None:
            _wrap_pod(pod, work)
    if missing := set(work.request.containers) - set(work.names):
        raise KsmrunError(
            f"the manifest has no container {', '.join(sorted(missing))}", "check its names"
        )
    if not work.names:
        others = "".join(f"; {each.name} {each.why}" for each in work.left)
        raise KsmrunError(
            f"the manifest has no pod{others}", f"give one of: {', '.join(POD_PATHS)}"
        )
    return Rewritten(
        text=work.splicer.result(),
        names=tuple(work.names),
        keys=tuple(dict.fromkeys(work.keys)),
        kinds=tuple(dict.fromkeys(work.kinds)),
        left=tuple(work.left),
        has_comments=work.splicer.has_comments,
    )


def _flat(documents: Sequence[Node]) -> Iterator[Node]:
    """Yield the documents, and the items of lists."""
    for document in documents:
        items = get(document, "items")
        if text_of(get(document, "kind")).endswith("List") and isinstance(items, SequenceNode):
            yield from _flat(items.value)
        else:
            yield document


def _pod(document: Node) -> _Pod | None:
    """Return the pod in a manifest; None if its kind has none."""
    kind = text_of(get(document, "kind"))
    if kind not in POD_PATHS:
        return None
    node: Node | None = document
    for key in POD_PATHS[kind]:
        node = get(node, key)
    if not isinstance(node, MappingNode):
        raise KsmrunError(f"a {kind} has no {'.'.join(POD_PATHS[kind])}", "fix the manifest")
    return _Pod(node, kind, text_of(get(get(document, "metadata"), "namespace")))


def _wrap_pod(found: _Pod, work: _Work) -> None:
    pod, request = found.spec, work.request
    if text_of(get(get(pod, "os"), "name")) == "windows":
        raise KsmrunError("a pod is for Windows, which has no KSM", "take it out of the manifest")
    chosen = [
        node
        for node in items_of(get(pod, "containers"))
        if not request.containers or text_of(get(node, "name")) in request.containers
    ]
    if not chosen:
        return
    keys: list[ContainerKey] = []
    for container in chosen:
        if not isinstance(container, MappingNode):
            raise KsmrunError("a container is not a mapping", "fix the manifest")
        key = None if request.key is None else _key(found, container, request.key)
        _wrap_container(container, work, key)
        keys += [] if key is None else [key]
    _add_volumes(pod, work, list(dict.fromkeys(keys)))
    work.keys += keys
    work.kinds.append(found.kind)
    work.names += [text_of(get(node, "name")) for node in chosen]


def _key(pod: _Pod, container: MappingNode, default: ContainerKey) -> ContainerKey:
    """Return the key that the container reads: for its pod's namespace and its user."""
    user = default.user
    for node in (pod.spec, container):
        told = text_of(get(get(node, "securityContext"), "runAsUser"))
        user = int(told) if told.isascii() and told.isdigit() else user
    return replace(default, namespace=pod.namespace or default.namespace, user=user)


def _volume(key: ContainerKey) -> str:
    return f"{KEY_VOLUME}-{key.user}"


def _wrap_container(container: MappingNode, work: _Work, key: ContainerKey | None) -> None:
    name = text_of(get(container, "name"))
    command = _words(get(container, "command"), f"command of {name}")
    if any(text_of(word) in LAUNCHERS for word in command):
        raise KsmrunError(f"the container {name} is already wrapped", "give the original manifest")
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
