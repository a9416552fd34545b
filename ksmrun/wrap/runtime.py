"""Configuration lines that make ksmrun-oci one of a container engine's runtimes."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ksmrun.model.container import RuntimeEngine as Engine
from ksmrun.model.wrap import CONTAINERD_FILE, OCI_RUNTIME
from ksmrun.model.wrap import OCI_BY_REQUEST as LINK
from ksmrun.wrap import containerd
from ksmrun.wrap.containerd import ALL, BY_REQUEST
from ksmrun.wrap.header import header


@dataclass(frozen=True)
class Lines:
    """Lines for an engine. text: for its file. notes: for the user, what to do with it."""

    text: str
    notes: tuple[str, ...]


CLASS_NOTE = (
    "Pods ask with runtimeClassName: ksmrun, and one RuntimeClass of that name and handler"
    " (node.k8s.io/v1); annotations are the Pod's"
)


# May be opened only by the host's operator; `ksmrun-oci --ksmrun-help` has all of it.
HOST_FILE = "/etc/ksmrun/oci.json"
GROUP_NOTE = (
    "--layout=shared: by the annotations ksmrun.layout=shared and ksmrun.layout-group=NAME, with "
    "the key of `sudo ksmrun layout key NAME --output /run/ksmrun/layout/units/NAME.key`; "
    f'"groups" in {HOST_FILE} says who may'
)
ENVIRONMENT_NOTE = f'for KSMRUN_OCI to count by request: {{"environment": true}} in {HOST_FILE}'


def render(
    engine: Engine,
    default: bool,
    *,
    environment: bool = False,
    group: str | None = None,
    config: str | None = None,
    file: str = CONTAINERD_FILE,
) -> Lines:
    """Render the lines for an engine.

    default: make it the default runtime too, for containers that ask for it. environment:
    containers may also ask by KSMRUN_OCI, which an image may set. group: another runtime, whose
    containers share its layout; only for Docker, as the others pass annotations on. config: text of
    containerd's file; None if there is none.
    """
    if engine is Engine.DOCKER:
        return _docker(default, environment, group)
    if engine is Engine.CONTAINERD:
        text, told = containerd.lines_for(config, file, default=default)
        by_hand = f"ctr run --runc-binary={OCI_RUNTIME} ...; also with --annotation"
        lines = Lines(text, (*told, CLASS_NOTE, by_hand))
    else:
        lines = {Engine.PODMAN: _podman, Engine.CRI_O: _cri_o}[engine](default)
    notes = (*lines.notes, GROUP_NOTE, *((ENVIRONMENT_NOTE,) if environment else ()))
    return Lines(lines.text, notes)


def _podman(default: bool) -> Lines:
    file = "/etc/containers/containers.conf.d/ksmrun.conf"
    # Both replace Podman's own lists of names: runtimes that report errors as JSON, and runtimes
    # that work without cgroups, as crun does (containers.conf(5); key in c/common's
    # pkg/config/config.go).
    json_names = ["crun", "runc", "kata", "runsc", "youki", "krun", ALL, BY_REQUEST]
    lines = ["[engine]", f"runtime_supports_json = {json.dumps(json_names)}"]
    lines.append(f"runtime_supports_nocgroup = {json.dumps(['crun', 'krun', ALL, BY_REQUEST])}")
    lines += [f'runtime = "{BY_REQUEST}"'] if default else []
    lines += ["", "[engine.runtimes]"]
    lines += [f'{ALL} = ["{OCI_RUNTIME}"]', f'{BY_REQUEST} = ["{LINK}"]', ""]
    return Lines(
        header("wrap runtime podman", "a runtime of Podman's", f"rm {file}") + "\n".join(lines),
        (
            f"write it to {file}; for one user, ~/.config/containers/containers.conf.d/ksmrun.conf",
            f"podman run --runtime={ALL} ...; containers that are there keep their runtime",
            f"podman run --runtime={BY_REQUEST} --annotation=ksmrun.merge=on ...",
            f"to undo it: sudo rm {file}; remove the containers of these runtimes first, as they "
            "do not start without it",
            f"Podman's Docker API ignores `runtime: {ALL}` of Compose and `docker run --runtime`, "
            "silently: use `podman run`, or `ksmrun wrap compose`",
        ),
    )


def _docker(default: bool, environment: bool, group: str | None) -> Lines:
    words = ["--ksmrun-by-request", *(["--ksmrun-environment"] if environment else [])]
    runtimes: dict[str, object] = {
        ALL: {"path": str(OCI_RUNTIME)},
        BY_REQUEST: {"path": str(OCI_RUNTIME), "runtimeArgs": words},
    }
    if group is not None:
        request = f"--ksmrun-request=layout=shared,layout-group={group}"
        runtimes[f"{ALL}-{group}"] = {"path": str(OCI_RUNTIME), "runtimeArgs": [request]}
    settings: dict[str, object] = {"runtimes": runtimes}
    if default:
        settings["default-runtime"] = BY_REQUEST
    notes = [
        "add it to /etc/docker/daemon.json, then: sudo systemctl reload docker",
        f"docker run --runtime={ALL} ...; in Compose: runtime: {ALL}",
        f"docker run --runtime={BY_REQUEST} --annotation=ksmrun.merge=on ..., from Docker 24 on",
        GROUP_NOTE,
    ]
    if environment:
        notes[2] = f"docker run --runtime={BY_REQUEST} --env=KSMRUN_OCI=merge=on ..."
    else:
        notes.append("before Docker 24: --environment, and KSMRUN_OCI in a container's environment")
    notes.append(
        "to undo it: take these lines out of /etc/docker/daemon.json, and reload docker; remove the"
        " containers of these runtimes first, as they do not start without it"
    )
    if group is not None:
        notes.append(
            f"docker run --runtime={ALL}-{group} ...: one layout, by the key of `sudo ksmrun "
            f"layout key {group} --output /run/ksmrun/layout/units/{group}.key`"
        )
    return Lines(json.dumps(settings, indent=2) + "\n", tuple(notes))


def _cri_o(default: bool) -> Lines:
    file = "/etc/crio/crio.conf.d/ksmrun.conf"
    lines = ["[crio.runtime]", f'default_runtime = "{BY_REQUEST}"', ""] if default else []
    for name, path in ((ALL, OCI_RUNTIME), (BY_REQUEST, LINK)):
        lines += [
            f"[crio.runtime.runtimes.{name}]",
            f'runtime_path = "{path}"',
            'runtime_type = "oci"',
            "",
        ]
    return Lines(
        header("wrap runtime cri-o", "a runtime of CRI-O's", f"rm {file}") + "\n".join(lines),
        (
            f"write it to {file}, then: sudo systemctl restart crio",
            CLASS_NOTE,
            f"to undo it: sudo rm {file}; sudo systemctl restart crio",
            # validateAllowedAndGenerateDisallowedAnnotations in pkg/config/config.go.
            "annotations reach it as they are: allowed_annotations takes CRI-O's own only, and with"
            " others CRI-O does not start",
        ),
    )
