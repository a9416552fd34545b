"""Rewrite Kubernetes manifests so that their containers start merged. Pure.

What is not changed stays as it was, comments and quotes included: see splice.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import yaml
from yaml.nodes import Node, SequenceNode

from ksmrun.model.errors import KsmrunError
from ksmrun.model.wrap import LAUNCHERS, ContainerKey
from ksmrun.wrap.pod_kinds import POD_PATHS, Name, Paths, Pod, name_of, pods_of
from ksmrun.wrap.pod_left import RENDER, UNRENDERED, Left, left_of, refuse_unrendered
from ksmrun.wrap.splice import Splicer, get, items_of, text_of

DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True)
class Wrapped:
    """Change of one pod. names: of its containers that start merged. keys: needed on the nodes."""

    names: tuple[str, ...] = ()
    keys: tuple[ContainerKey, ...] = ()


# Changes a pod.
Wrap = Callable[[Pod, Splicer], Wrapped]


@dataclass(frozen=True)
class Rewritten:
    """Result of a rewrite. names: of the containers that start merged. keys: needed on the nodes.

    changed: groups and kinds of the changed manifests. left: manifests with containers that were
    not changed. has_comments: whether the text still has its comments.
    """

    text: str
    names: tuple[str, ...]
    keys: tuple[ContainerKey, ...]
    changed: tuple[tuple[str, str], ...]
    left: tuple[Left, ...]
    has_comments: bool


def rewrite(
    text: str,
    wrap: Wrap,
    *,
    paths: Paths = POD_PATHS,
    containers: tuple[str, ...] = (),
    namespace: str = DEFAULT_NAMESPACE,
) -> Rewritten:
    """Rewrite the manifests. Raises KsmrunError.

    containers: those that there have to be. namespace: of manifests that name none.
    """
    try:
        return _rewrite(Splicer(text), wrap, paths, containers, namespace)
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        if UNRENDERED.search(text):
            raise KsmrunError(
                f"the manifest is a template that was not rendered: {told}", RENDER
            ) from error
        raise KsmrunError(f"the manifest is not valid YAML: {told}", "fix the manifest") from error
    except RecursionError as error:
        raise KsmrunError("the manifest is nested too deeply", "fix the manifest") from error


def _rewrite(
    splicer: Splicer, wrap: Wrap, paths: Paths, containers: tuple[str, ...], namespace: str
) -> Rewritten:
    seen: set[Name] = set()
    left: list[Left] = []
    changed: list[tuple[str, str]] = []
    done: list[Wrapped] = []
    for document in _flat(splicer.documents):
        name = name_of(document)
        if (found := left_of(document, name, paths)) is not None:
            left.append(found)
        elif (path := paths.get((name.group, name.kind))) is not None:
            refuse_unrendered(document, name)
            _refuse_second(document, name, namespace, seen)
            pods = pods_of(document, name, path)
            now = [_wrapped(pod, wrap, splicer) for pod in pods]
            changed += [(name.group, name.kind)] if any(each.names for each in now) else []
            done += now
    names = tuple(name for each in done for name in each.names)
    if missing := set(containers) - set(names):
        raise KsmrunError(
            f"the manifest has no container {', '.join(sorted(missing))}", "check its names"
        )
    if not names:
        others = "".join(f"; {each.name} {each.why}" for each in left)
        kinds = ", ".join(sorted({kind for _, kind in paths}))
        raise KsmrunError(f"the manifest has no pod{others}", f"give one of: {kinds}")
    return Rewritten(
        text=splicer.result(),
        names=names,
        keys=tuple(dict.fromkeys(key for each in done for key in each.keys)),
        changed=tuple(dict.fromkeys(changed)),
        left=tuple(left),
        has_comments=splicer.has_comments,
    )


def _flat(documents: Sequence[Node]) -> Iterator[Node]:
    """Yield the documents, and the items of lists."""
    for document in documents:
        items = get(document, "items")
        if text_of(get(document, "kind")).endswith("List") and isinstance(items, SequenceNode):
            yield from _flat(items.value)
        else:
            yield document


def _refuse_second(document: Node, name: Name, namespace: str, seen: set[Name]) -> None:
    """Raise KsmrunError for a second manifest of one name, which would replace the first."""
    # The cluster makes up the rest of a generateName.
    if not text_of(get(get(document, "metadata"), "name")):
        return
    full = Name(name.group, name.kind, name.namespace or namespace, name.name)
    if full in seen:
        raise KsmrunError(
            f"two manifests are {full} in the namespace {full.namespace}, and the cluster would "
            "keep the last",
            "remove or rename one",
        )
    seen.add(full)


def _wrapped(pod: Pod, wrap: Wrap, splicer: Splicer) -> Wrapped:
    if text_of(get(get(pod.spec, "os"), "name")) == "windows":
        raise KsmrunError("a pod is for Windows, which has no KSM", "take it out of the manifest")
    return wrap(pod, splicer)


def refuse_wrapped(container: Node) -> None:
    """Raise KsmrunError for a container whose command has the launcher."""
    if any(text_of(word) in LAUNCHERS for word in items_of(get(container, "command"))):
        name = text_of(get(container, "name"))
        raise KsmrunError(f"the container {name} is already wrapped", "give the original manifest")
