"""Where the pods are in manifests, by group and kind. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yaml.nodes import MappingNode, Node

from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.support.words import shortened
from ksmrun.wrap.splice import get, items_of, text_of

# Keys from a manifest to the specification of its pod. "key[]" stands for each item of a list.
Path = tuple[str, ...]
# A group and a kind: two engines have a GameServerSet, and Knative a Service.
Paths = Mapping[tuple[str, str], Path]
TEMPLATE: Path = ("spec", "template", "spec")
FLEET: Path = ("spec", "template", *TEMPLATE)
KINDS_WITH_TEMPLATE = {
    "": ("ReplicationController",),
    "apps": ("DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"),
    # Until Kubernetes 1.16; charts still have them.
    "extensions": ("DaemonSet", "Deployment", "ReplicaSet"),
    "batch": ("Job",),
    "agones.dev": ("GameServer",),
    "argoproj.io": ("Rollout",),
    "apps.kruise.io": ("BroadcastJob", "CloneSet", "DaemonSet", "StatefulSet"),
    "serving.knative.dev": ("Configuration", "Service"),
}
POD_PATHS: Paths = {
    ("", "Pod"): ("spec",),
    ("", "PodTemplate"): ("template", "spec"),
    ("batch", "CronJob"): ("spec", "jobTemplate", *TEMPLATE),
    ("agones.dev", "Fleet"): FLEET,
    ("agones.dev", "GameServerSet"): FLEET,
    ("game.kruise.io", "GameServerSet"): ("spec", "gameServerTemplate", "spec"),
    **{(group, kind): TEMPLATE for group, kinds in KINDS_WITH_TEMPLATE.items() for kind in kinds},
}
# Groups of Kubernetes itself, whose kinds are known without an apiVersion too.
BUILT_IN = ("", "apps", "batch")
GIVEN = re.compile(
    r"(?P<kind>[A-Za-z][A-Za-z0-9]*)(?:\.(?P<group>[a-z0-9][a-z0-9.-]*))?"
    r"=(?P<path>[A-Za-z0-9_-]+(?:\[\])?(?:\.[A-Za-z0-9_-]+(?:\[\])?)*)"
)


@dataclass(frozen=True)
class Name:
    """Names of a manifest: what the cluster knows it by. namespace: "" if it names none."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return kind and name."""
        return f"{self.kind or 'a document without kind'} {self.name}".strip()


@dataclass(frozen=True)
class Pod:
    """Pod of a manifest. holder: has its metadata beside its specification, if anything has."""

    spec: MappingNode
    holder: MappingNode | None
    name: Name


def name_of(document: Node) -> Name:
    """Return the names of a manifest. A missing apiVersion is that of Kubernetes' own kinds."""
    kind, version = text_of(get(document, "kind")), text_of(get(document, "apiVersion"))
    group = version.rpartition("/")[0]
    if not version:
        group = next((each for each in BUILT_IN if (each, kind) in POD_PATHS), "")
    metadata = get(document, "metadata")
    name = text_of(get(metadata, "name")) or text_of(get(metadata, "generateName"))
    return Name(group, kind, text_of(get(metadata, "namespace")), name)


def pods_of(document: Node, name: Name, path: Path) -> list[Pod]:
    """Return the pods at a path. Raises KsmrunError if there are none."""
    found: list[tuple[Node | None, Node | None]] = [(None, document)]
    for key in path:
        plain = key.removesuffix("[]")
        found = [
            (node, child)
            for _, node in found
            for child in ([get(node, plain)] if plain == key else items_of(get(node, plain)))
        ]
    pods = []
    for holder, spec in found:
        if isinstance(spec, MappingNode):
            held = holder if isinstance(holder, MappingNode) and path[-1] == "spec" else None
            pods.append(Pod(spec, held, name))
    if len(pods) < max(len(found), 1):
        raise KsmrunError(f"a {name.kind} has no {'.'.join(path)}", "fix the manifest")
    return pods


def with_given(given: Sequence[str]) -> Paths:
    """Return the known paths and those that the user gave. Raises UsageError."""
    added = {}
    for text in given:
        match = GIVEN.fullmatch(text)
        if match is None:
            raise UsageError(
                f"--pod-path={shortened(text)} is not KIND.GROUP=PATH",
                "give for example --pod-path 'CronTab.example.com=spec.template.spec'; KEY[] "
                "stands for each item of a list",
            )
        added[match["group"] or "", match["kind"]] = tuple(match["path"].split("."))
    return {**POD_PATHS, **added}
