"""Options of `ksmrun wrap image`, `compose` and `pod`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from ksmrun.model.container import Engine
from ksmrun.model.frozen import dataclass
from ksmrun.options.command import Command
from ksmrun.options.item import Values, argument, choice, option, path, switch, whole
from ksmrun.options.launch import DomainOptions, WrapOptions
from ksmrun.options.layout import UID_MAX
from ksmrun.options.output import JSON

LAUNCHER_IMAGE = "ksmrun-launcher"


class Source(StrEnum):
    """Origin of the launcher in a pod."""

    IMAGE = "image"
    HOST = "host"


class By(StrEnum):
    """What starts the containers of a pod merged."""

    RUNTIME_CLASS = "runtime-class"
    LAUNCHER = "launcher"


@dataclass(frozen=True)
class ContainerOptions(WrapOptions):
    """Options of a launch in a container."""

    engine: Engine = choice("Program to ask what an image starts.", Engine.AUTO)
    require_max_map_count: int | None = whole(
        "Do not start the program where the host's vm.max_map_count is less than this.",
        least=1,
        most=(1 << 31) - 1,
    )
    layout_user: int = whole(
        "Host UID of the container's user, the only one who can read the layout's key.",
        0,
        metavar="UID",
        least=0,
        most=UID_MAX,
    )


@dataclass(frozen=True)
class ImageOptions(ContainerOptions):
    """Options of `ksmrun wrap image`."""

    name: str = argument(
        "Name of an image, a saved image (./image.tar, oci:FOLDER), or - for the output of `docker "
        "image inspect` on stdin.",
        "IMAGE",
        is_required=True,
    )
    as_json: bool = switch(JSON, name="--json")


@dataclass(frozen=True)
class ComposeOptions(DomainOptions, ContainerOptions):
    """Options of `ksmrun wrap compose`."""

    file: str = argument("Compose file; - for stdin.", "FILE", is_required=True, values=Values.FILE)
    service: tuple[str, ...] = argument(
        "Services to wrap; all where none is named.", "SERVICE", is_many=True
    )
    output: Path | None = path("File to write. Without this option it is only shown.")
    remove: bool = switch("Delete FILE, which --output wrote.")
    image: tuple[str, ...] = option(
        "Image of a service that the file builds.", metavar="SERVICE=IMAGE", is_many=True
    )


@dataclass(frozen=True)
class PodOptions(DomainOptions, ContainerOptions):
    """Options of `ksmrun wrap pod`."""

    file: str = argument("Manifests; - for stdin.", "FILE", is_required=True, values=Values.FILE)
    container: tuple[str, ...] = option(
        "Wrap only this container.", metavar="CONTAINER", is_many=True
    )
    entrypoint: tuple[str, ...] = option(
        "Command that the image of a container starts, where no engine here has the image.",
        metavar="CONTAINER=COMMAND",
        is_many=True,
    )
    by: By | None = choice(
        "Way to start the containers merged. runtime-class: by the nodes' runtime, through one "
        "field of the pod; commands executed later merge too. launcher: by a changed command.",
        None,
        By,
        default_text="runtime-class where --runtime-class names one, else launcher",
    )
    runtime_class: str | None = option(
        "RuntimeClass whose handler is ksmrun-oci; `ksmrun` with --by runtime-class alone.",
        metavar="NAME",
    )
    pod_path: tuple[str, ...] = option(
        "Place of the pod in manifests of another kind; KEY[] is each item of a list.",
        metavar="KIND.GROUP=PATH",
        is_many=True,
    )
    source: Source = choice(
        "Source of the launcher. image: an init container brings it. host: each node has it "
        "(hostPath, which Pod Security may forbid).",
        Source.IMAGE,
        name="--from",
    )
    launcher_image: str = option(
        "With --from image: image that has the launcher, and cp.", LAUNCHER_IMAGE, metavar="IMAGE"
    )
    namespace: str = option(
        "Namespace of pods whose manifest names none. A layout belongs to one namespace.",
        "default",
        metavar="NAMESPACE",
    )
    strict: bool = switch(
        "Print nothing and exit with 1 where a manifest with containers cannot be wrapped."
    )


IMAGE = Command(
    ("wrap", "image"),
    "Print Dockerfile lines for an image that starts merged",
    (
        "The lines follow FROM IMAGE. They put the launcher before the image's own entrypoint and "
        "command; user, folder and the rest stay.",
    ),
    ImageOptions,
    (
        (
            "Wrap what an inspection shows",
            'echo \'[{"Config": {"Cmd": ["sleep", "60"]}}]\' | ksmrun wrap image -',
        ),
        ("Wrap a local image", "ksmrun wrap image my/server:1.2 >>Dockerfile"),
    ),
)
COMPOSE = Command(
    ("wrap", "compose"),
    "Print an override file for Compose with which services start merged",
    (
        "Use it with: docker compose -f FILE -f compose.ksmrun.yaml up. The launcher is mounted "
        "into the containers; no image changes.",
    ),
    ComposeOptions,
    (
        (
            "Show the override of a file on stdin",
            "echo 'services: {web: {image: web, entrypoint: [sleep, \"60\"]}}' | ksmrun wrap "
            "compose -",
        ),
        ("Write it", "ksmrun wrap compose compose.yaml --output compose.ksmrun.yaml"),
    ),
)
POD = Command(
    ("wrap", "pod"),
    "Print Kubernetes manifests whose containers start merged",
    (
        "Works on pods and on what makes pods in Kubernetes, Agones, Argo Rollouts, OpenKruise and "
        "Knative. To undo it, apply the original manifest; the output says how where that is not "
        "possible. Helm tests start as before; with --by launcher also init containers, probes and "
        "hooks.",
    ),
    PodOptions,
    (
        (
            "Wrap a pod on stdin",
            "echo '{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, "
            'image: web, command: [sleep, "60"]}]}}\' | ksmrun wrap pod --from host -',
        ),
        (
            "Name a RuntimeClass in each pod",
            "echo '{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, "
            "image: web}]}}' | ksmrun wrap pod --by runtime-class -",
        ),
        ("Apply a wrapped manifest", "ksmrun wrap pod --from host web.yaml | kubectl apply -f -"),
    ),
)
