"""Kubernetes manifests rewritten so that their containers start merged. Pure.

The nodes of the YAML are changed, not its values: what is not touched is written as it stood,
quoted or not, so that no reader takes it for another type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ksmrun.model import KsmrunError
from ksmrun.model.container import ImageConfig
from ksmrun.model.wrap import LAUNCHER, LIBEXEC, ContainerKey
from ksmrun.wrap.container import KEY_FILE

VOLUME = "ksmrun"
KEY_VOLUME = "ksmrun-layout-key"
# Where the launcher's image has it, and where its init container puts it.
BROUGHT_FROM, BROUGHT_TO = LIBEXEC, "/ksmrun"
# The way from a manifest to the pod in it, by kind.
TEMPLATE = ("spec", "template", "spec")
POD_PATHS = {
    "Pod": ("spec",),
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"), TEMPLATE),
    "ReplicationController": TEMPLATE,
    "CronJob": ("spec", "jobTemplate", *TEMPLATE),
}


@dataclass(frozen=True)
class PodRequest:
    """launcher: its words, with "--" at the end. image: with the launcher; None: from the host.

    containers: their names, all where empty. key: for a layout; its namespace and user are for
    what the manifest tells nothing of.
    """

    launcher: tuple[str, ...]
    image: str | None
    containers: tuple[str, ...] = ()
    key: ContainerKey | None = None


@dataclass(frozen=True)
class Rewritten:
    """names: of the containers that start merged. keys: that the nodes need."""

    text: str
    names: tuple[str, ...]
    keys: tuple[ContainerKey, ...]


@dataclass(frozen=True)
class _Pod:
    spec: MappingNode
    namespace: str


Look = Callable[[str, str], ImageConfig]


def rewrite(text: str, request: PodRequest, look: Look) -> Rewritten:
    """Rewrite the manifests. Raises KsmrunError.

    look: gives what an image starts, by container and image; asked where a container names no
    command.
    """
    try:
        documents = [node for node in yaml.compose_all(text, yaml.SafeLoader) if node is not None]
    except yaml.YAMLError as error:
        raise KsmrunError(
            f"the manifest is no YAML: {' '.join(str(error).split())}", "mend it there"
        ) from error
    wrapped: list[str] = []
    keys: list[ContainerKey] = []
    for pod in _pods(documents):
        wrapped += _wrap_pod(pod, request, look, keys)
    if missing := set(request.containers) - set(wrapped):
        raise KsmrunError(
            f"no container is called {', '.join(sorted(missing))}", "look at the manifest"
        )
    if not wrapped:
        raise KsmrunError("there is no pod in it", f"give one of: {', '.join(POD_PATHS)}")
    rendered: str = yaml.serialize_all(
        documents, None, yaml.SafeDumper, explicit_start=True, width=1 << 30, allow_unicode=True
    )
    return Rewritten(rendered.removeprefix("---\n"), tuple(wrapped), tuple(dict.fromkeys(keys)))


def _pods(documents: Sequence[Node]) -> Iterator[_Pod]:
    for document in documents:
        kind = _text(_get(document, "kind"))
        if kind == "List":
            items = _get(document, "items")
            yield from _pods(items.value if isinstance(items, SequenceNode) else ())
            continue
        node: Node | None = document
        for key in POD_PATHS.get(kind, ()):
            node = _get(node, key)
        if kind in POD_PATHS:
            if not isinstance(node, MappingNode):
                raise KsmrunError(f"a {kind} has no {'.'.join(POD_PATHS[kind])}", "mend it there")
            yield _Pod(node, _text(_get(_get(document, "metadata"), "namespace")))


def _wrap_pod(found: _Pod, request: PodRequest, look: Look, keys: list[ContainerKey]) -> list[str]:
    pod = found.spec
    if _text(_get(_get(pod, "os"), "name")) == "windows":
        raise KsmrunError("a pod is for Windows", "there is no KSM in it")
    containers = _get(pod, "containers")
    chosen = [
        node
        for node in (containers.value if isinstance(containers, SequenceNode) else ())
        if not request.containers or _text(_get(node, "name")) in request.containers
    ]
    own: list[ContainerKey] = []
    for container in chosen:
        key = None if request.key is None else _key(found, container, request.key)
        _wrap_container(container, request, look, key)
        own += [] if key is None else [key]
    if chosen:
        _add_volumes(pod, request, list(dict.fromkeys(own)))
    keys += own
    return [_text(_get(node, "name")) for node in chosen]


def _key(pod: _Pod, container: MappingNode, default: ContainerKey) -> ContainerKey:
    """Return what the container reads: of its pod's namespace, for the user that it runs as."""
    user = default.user
    for node in (pod.spec, container):
        told = _text(_get(_get(node, "securityContext"), "runAsUser"))
        user = int(told) if told.isascii() and told.isdigit() else user
    return replace(default, namespace=pod.namespace or default.namespace, user=user)


def _volume(key: ContainerKey) -> str:
    return f"{KEY_VOLUME}-{key.user}"


def _wrap_container(
    container: MappingNode, request: PodRequest, look: Look, key: ContainerKey | None
) -> None:
    name = _text(_get(container, "name"))
    command = _words(_get(container, "command"), f"command of {name}")
    args = _get(container, "args")
    if any(_text(word) == str(LAUNCHER) for word in command):
        raise KsmrunError(f"the container {name} is wrapped already", "give the original manifest")
    if not command:
        # Kubernetes drops both of the image's where command is set, and CMD where args are.
        image = look(name, _text(_get(container, "image")))
        command = [_scalar(_escaped(word)) for word in image.entrypoint]
        if not _words(args, f"args of {name}"):
            if not (image.entrypoint or image.cmd):
                raise KsmrunError(f"the container {name} has no command", "set it there")
            _set(container, "args", _strings([_escaped(word) for word in image.cmd]))
    launcher = [_scalar(_escaped(word)) for word in request.launcher]
    _set(container, "command", _sequence([*launcher, *command], flow=True))
    mounts = [_mount(VOLUME, str(LIBEXEC))]
    if key is not None:
        mounts.append(_mount(_volume(key), KEY_FILE))
    _append(container, "volumeMounts", mounts)


def _add_volumes(pod: MappingNode, request: PodRequest, keys: Sequence[ContainerKey]) -> None:
    own = (VOLUME, *(_volume(key) for key in keys))
    volumes = _get(pod, "volumes")
    for volume in volumes.value if isinstance(volumes, SequenceNode) else ():
        if _text(_get(volume, "name")) in own:
            raise KsmrunError(
                f"the pod has a volume {_text(_get(volume, 'name'))} already", "rename it"
            )
    if request.image is None:
        added = [{"name": VOLUME, "hostPath": {"path": str(LIBEXEC), "type": "Directory"}}]
    else:
        added = [{"name": VOLUME, "emptyDir": {}}]
        # The first: others may be wrapped by hand.
        _append(pod, "initContainers", [_node(_bringer(request.image))], first=True)
    for key in keys:
        added.append({"name": _volume(key), "hostPath": {"path": key.path, "type": "File"}})
    _append(pod, "volumes", [_node(volume) for volume in added])


def _bringer(image: str) -> dict[str, object]:
    """The init container. As little as the strictest Pod Security Standard lets it have."""
    return {
        "name": VOLUME,
        "image": image,
        "command": ["cp", "-R", f"{BROUGHT_FROM}/.", BROUGHT_TO],
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


def _mount(volume: str, path: str) -> Node:
    return _node({"name": volume, "mountPath": path, "readOnly": True})


def _escaped(word: str) -> str:
    """Kubernetes puts variables in for $(NAME), and $$ stands for $; any other $ stays one
    (k8s.io/kubernetes/third_party/forked/golang/expansion). Podman 4 expands nothing.
    """
    return re.sub(r"\$(?=[$(])", "$$", word)


def _get(node: Node | None, key: str) -> Node | None:
    if not isinstance(node, MappingNode):
        return None
    for name, value in node.value:
        if _text(name) == "<<":
            raise KsmrunError("the manifest has merge keys (<<)", "write out what they stand for")
        if _text(name) == key:
            is_null = value.tag == "tag:yaml.org,2002:null"
            return None if is_null else value
    return None


def _text(node: Node | None) -> str:
    return str(node.value) if isinstance(node, ScalarNode) else ""


def _words(node: Node | None, what: str) -> list[Node]:
    if node is None:
        return []
    if not isinstance(node, SequenceNode):
        raise KsmrunError(f"the {what} is no list", "mend it there: Kubernetes wants a list")
    return list(node.value)


def _set(node: MappingNode, key: str, value: Node) -> None:
    rest = [(name, old) for name, old in node.value if _text(name) != key]
    node.value = [*rest, (_scalar(key, style=None), value)]


def _append(node: MappingNode, key: str, added: Sequence[Node], *, first: bool = False) -> None:
    known = _words(_get(node, key), key)
    _set(node, key, _sequence([*added, *known] if first else [*known, *added], flow=False))


def _scalar(text: str, style: str | None = '"') -> ScalarNode:
    return ScalarNode("tag:yaml.org,2002:str", text, style=style)


def _strings(words: Sequence[str]) -> SequenceNode:
    return _sequence([_scalar(word) for word in words], flow=True)


def _sequence(nodes: Sequence[Node], *, flow: bool) -> SequenceNode:
    return SequenceNode("tag:yaml.org,2002:seq", list(nodes), flow_style=flow)


def _node(value: object) -> Node:
    """What yaml makes of a value."""
    node = yaml.compose(yaml.safe_dump(value, sort_keys=False), yaml.SafeLoader)
    assert node is not None
    return node
