"""Pods that a RuntimeClass starts merged: by one field, and annotations if asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from yaml.nodes import MappingNode

from ksmrun.model.errors import KsmrunError
from ksmrun.wrap.pod import Wrap, Wrapped, refuse_wrapped
from ksmrun.wrap.pod_kinds import Pod
from ksmrun.wrap.splice import Splicer, get, items_of, text_of

FIELD = "runtimeClassName"


def by_class(name: str, annotations: Mapping[str, str]) -> Wrap:
    """Return what names the RuntimeClass in a pod, and adds annotations of it."""

    def wrap(pod: Pod, splicer: Splicer) -> Wrapped:
        containers = items_of(get(pod.spec, "containers"))
        if not containers:
            return Wrapped()
        for container in containers:
            refuse_wrapped(container)
        old = text_of(get(pod.spec, FIELD))
        if old == name:
            raise KsmrunError(
                f"{pod.name} is already wrapped: its {FIELD} is {name}",
                "give the original manifest",
            )
        if old:
            raise KsmrunError(
                f"{pod.name} has the {FIELD} {old}, and a pod has one only",
                "add ksmrun to the handler of that class, or remove the field",
            )
        splicer.set_key(pod.spec, FIELD, name)
        if annotations:
            _annotate(pod, annotations, splicer)
        return Wrapped(tuple(text_of(get(each, "name")) for each in containers))

    return wrap


def _annotate(pod: Pod, annotations: Mapping[str, str], splicer: Splicer) -> None:
    if pod.holder is None:
        raise KsmrunError(
            f"{pod.name} has no place for annotations beside its pod", "leave out such options"
        )
    metadata = get(pod.holder, "metadata")
    if metadata is None:
        splicer.set_key(pod.holder, "metadata", {"annotations": dict(annotations)})
        return
    known = get(metadata, "annotations")
    if known is None and isinstance(metadata, MappingNode):
        splicer.set_key(metadata, "annotations", dict(annotations))
        return
    if not isinstance(known, MappingNode):
        raise KsmrunError(f"{pod.name} has metadata that are not a mapping", "fix the manifest")
    for key, value in annotations.items():
        old = text_of(get(known, key))
        if old and old != value:
            raise KsmrunError(
                f"{pod.name} has the annotation {key}: {old} already",
                "remove it, or leave out the option",
            )
        if not old:
            splicer.set_key(known, key, value)
