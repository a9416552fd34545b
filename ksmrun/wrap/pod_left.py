"""Manifests with containers that are not rewritten, and texts that are no manifests yet. Pure."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from yaml.nodes import MappingNode, Node, SequenceNode

from ksmrun.model.errors import KsmrunError
from ksmrun.wrap.pod_kinds import Name, Paths
from ksmrun.wrap.splice import get, items_of, text_of

HOOK = "helm.sh/hook"
# Of Helm and Jinja, and of envsubst: no name of Kubernetes and no image contains them.
UNRENDERED = re.compile(r"\{\{|\{%|\$\{")
RENDER = "render it first, as in: helm template CHART | ksmrun wrap pod -"


@dataclass(frozen=True)
class Left:
    """Manifest not rewritten. name: kind and name. is_meant: whether that is intended."""

    name: str
    why: str
    is_meant: bool = False


def left_of(document: Node, name: Name, paths: Paths) -> Left | None:
    """Return why a manifest is not rewritten; None if it is, or has no containers."""
    metadata = get(document, "metadata")
    hooks = text_of(get(get(metadata, "annotations"), HOOK)).split(",")
    if (name.group, name.kind) in paths:
        # test-success and test-failure are those of Helm 2.
        if any(hook.strip().startswith("test") for hook in hooks):
            return Left(str(name), "is a test of Helm's and stays as it is", is_meant=True)
        spec = get(document, "spec")
        # Argo Rollouts and OpenKruise: the pods' template is another manifest's.
        if get(spec, "workloadRef") is not None and get(spec, "template") is None:
            return Left(str(name), "has the pods of its workloadRef: wrap those", is_meant=True)
        return None
    path = _path_to_containers(document)
    if path is None:
        return None
    kind = f"{name.kind}.{name.group}" if name.group else name.kind
    hint = f"; to do: --pod-path '{kind}={path}'" if name.kind and path else ""
    return Left(
        str(name), f"has containers, which start unmerged: its kind is not known here{hint}"
    )


def refuse_unrendered(document: Node, name: Name) -> None:
    """Raise KsmrunError for a template that nothing has rendered, though it is valid YAML."""
    told = [name.group, name.kind, name.namespace, name.name]
    left = [document]
    while left:
        node = left.pop()
        if isinstance(node, MappingNode):
            for key, value in node.value:
                # Valid YAML for a mapping whose key is a mapping.
                if isinstance(key, MappingNode):
                    told.append("{{ ... }}")
                elif text_of(key) == "image":
                    told.append(text_of(value))
                left.append(value)
        left += items_of(node)
    found = next((text for text in told if UNRENDERED.search(text)), None)
    if found is not None:
        raise KsmrunError(f"{name} is a template that was not rendered: {found[:80]}", RENDER)


def _path_to_containers(document: Node) -> str | None:
    """Return the path of what has a list of containers, the one nearest to the top."""
    left: deque[tuple[Node, tuple[str, ...]]] = deque([(document, ())])
    while left:
        node, path = left.popleft()
        if not isinstance(node, MappingNode):
            continue
        for name, value in node.value:
            key = text_of(name)
            if isinstance(value, SequenceNode):
                if key == "containers":
                    return ".".join(path)
                left += [(item, (*path, f"{key}[]")) for item in value.value]
            else:
                left.append((value, (*path, key)))
    return None
