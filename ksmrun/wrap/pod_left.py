"""Where the pod is in a manifest, and manifests with containers that are not rewritten. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from yaml.nodes import MappingNode, Node, SequenceNode

from ksmrun.wrap.splice import get, items_of, text_of

# Path from a manifest to the pod in it, by kind.
TEMPLATE = ("spec", "template", "spec")
POD_PATHS = {
    "Pod": ("spec",),
    "PodTemplate": ("template", "spec"),
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"), TEMPLATE),
    "ReplicationController": TEMPLATE,
    "CronJob": ("spec", "jobTemplate", *TEMPLATE),
}
HOOK = "helm.sh/hook"


@dataclass(frozen=True)
class Left:
    """Manifest not rewritten. name: kind and name. is_meant: whether that is intended."""

    name: str
    why: str
    is_meant: bool = False


def left_of(document: Node) -> Left | None:
    """Return why a manifest is not rewritten; None if it is, or has no containers."""
    kind = text_of(get(document, "kind"))
    metadata = get(document, "metadata")
    name = text_of(get(metadata, "name")) or text_of(get(metadata, "generateName"))
    named = f"{kind or 'a document without kind'} {name}".strip()
    hooks = text_of(get(get(metadata, "annotations"), HOOK)).split(",")
    if kind in POD_PATHS:
        # test-success and test-failure are those of Helm 2.
        if any(hook.strip().startswith("test") for hook in hooks):
            return Left(named, "is a test of Helm's and stays as it is", is_meant=True)
        return None
    if _has_containers(document):
        return Left(named, "has containers, which start unmerged: its kind is not known here")
    return None


def _has_containers(document: Node) -> bool:
    left = [document]
    while left:
        node = left.pop()
        if isinstance(node, MappingNode):
            for name, value in node.value:
                if text_of(name) == "containers" and isinstance(value, SequenceNode):
                    return True
                left.append(value)
        left += items_of(node)
    return False
