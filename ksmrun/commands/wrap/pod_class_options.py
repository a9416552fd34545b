"""Options of `ksmrun wrap pod` where a RuntimeClass starts the containers: its annotations."""

from __future__ import annotations

import re

from ksmrun.launch.domain import check_domain
from ksmrun.model.errors import UsageError
from ksmrun.model.launch import LayoutMode, LayoutScope, Mechanism, RuntimeFlags
from ksmrun.options.containers import PodOptions
from ksmrun.options.item import items
from ksmrun.support.words import shortened

DEFAULT_CLASS = "ksmrun"
NAME_MAX = 253
# Of an object whose name is a DNS subdomain (kubernetes.io, "Object Names and IDs").
MECHANISMS = (Mechanism.AUTO, Mechanism.PRCTL, Mechanism.PRELOAD)
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
# Options that only a launcher in the manifest has.
OF_LAUNCHER = (
    "engine",
    "container",
    "entrypoint",
    "source",
    "launcher_image",
    "layout_user",
    "require_max_map_count",
    "seeds",
    "thp",
)


def class_name(options: PodOptions) -> str:
    """Return the RuntimeClass. Raises UsageError."""
    name = DEFAULT_CLASS if options.runtime_class is None else options.runtime_class
    if len(name) > NAME_MAX or NAME.fullmatch(name) is None:
        raise UsageError(
            f"--runtime-class={shortened(name)} cannot be the name of a RuntimeClass",
            "see `kubectl get runtimeclass`",
        )
    return name


def refuse_for_class(options: PodOptions) -> None:
    """Raise UsageError for options that a RuntimeClass does not have."""
    known = {item.attribute: item for item in items(PodOptions)}
    for attribute in OF_LAUNCHER:
        if getattr(options, attribute) != known[attribute].default:
            raise UsageError(
                f"{known[attribute].name} is for --by launcher, and a RuntimeClass starts all "
                "containers of a pod in one way",
                "leave it out, or give --by launcher",
            )
    if options.mechanism not in MECHANISMS:
        raise UsageError(
            f"--mechanism={options.mechanism} is for --by launcher",
            f"give one of: {', '.join(MECHANISMS)}",
        )


def refuse_domain(options: PodOptions) -> None:
    """Raise UsageError for a domain where the launcher cannot look at the node's state."""
    if options.domain is not None:
        raise UsageError(
            "--domain is for --by runtime-class: a container that starts its own launcher does not "
            "see which domain may merge on its node",
            "give --by runtime-class too",
        )


def annotations_of(options: PodOptions) -> dict[str, str]:
    """Return the annotations that ksmrun-oci reads (native/oci/request.c). Raises UsageError."""
    found = {}
    if options.domain is not None:
        check_domain(options.domain)
        found["domain"] = options.domain
    if options.exclude_secrets:
        found["exclude-secrets"] = "true"
    if options.layout is LayoutMode.SHARED:
        found["layout"] = "shared"
        found["layout-group"] = options.layout_group
        if options.layout_scope is not LayoutScope.PROGRAM:
            found["layout-scope"] = options.layout_scope.value
    if options.require:
        found["require"] = "true"
    if options.mechanism is not Mechanism.AUTO:
        found["mechanism"] = options.mechanism.value
    if options.runtime_flags is not RuntimeFlags.OFF:
        found["runtime-flags"] = options.runtime_flags.value
    return {f"ksmrun.{key}": value for key, value in found.items()}
