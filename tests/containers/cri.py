"""Client of the Container Runtime Interface, as kubelet is (k8s.io/cri-api, runtime.v1)."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from debs import cache_folder

PACKAGE = "grpcio==1.85.3"
# NamespaceMode.
CONTAINER, NODE = 1, 2
# Message, by field number; a list is a repeated field.
Message = dict[int, Any]


def grpc() -> ModuleType:
    """Return the library, which is fetched once."""
    folder = cache_folder() / PACKAGE
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache_folder()) as place:
            target = Path(place, "target")
            pip = (sys.executable, "-m", "pip", "install", "--quiet", "--target", target, PACKAGE)
            subprocess.run(pip, check=True)
            target.rename(folder)
    sys.path.insert(0, str(folder))
    return importlib.import_module("grpc")


def encoded(message: Message) -> bytes:
    """Return a message in the wire format (protobuf.dev, "Encoding")."""
    data = bytearray()
    for number, value in message.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, int):
                data += varint(number << 3) + varint(each)
            else:
                raw = encoded(each) if isinstance(each, dict) else each.encode()
                data += varint(number << 3 | 2) + varint(len(raw)) + raw
    return bytes(data)


def varint(value: int) -> bytes:
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])


def decoded(data: bytes) -> dict[int, Any]:
    """Return the last value of each field: an int, or bytes."""
    found: dict[int, Any] = {}
    place = 0

    def number() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(data):
        tag = number()
        value: int | bytes = number()
        if tag & 7 == 2:
            assert isinstance(value, int)
            place += value
            value = data[place - value : place]
        found[tag >> 3] = value
    return found


@dataclass(frozen=True)
class Pod:
    """Sandbox. config: PodSandboxConfig."""

    id: str
    config: Message


class Cri:
    """Connection to an engine's socket."""

    def __init__(self, socket: Path) -> None:
        self._channel = grpc().insecure_channel(f"unix://{socket}")

    def call(self, method: str, message: Message) -> dict[int, Any]:
        call = self._channel.unary_unary(
            f"/runtime.v1.RuntimeService/{method}",
            request_serializer=encoded,
            response_deserializer=decoded,
        )
        return dict(call(message, timeout=120, wait_for_ready=True))

    def run_pod(
        self, namespace: str, name: str, parent: str, handler: str, annotations: dict[str, str]
    ) -> Pod:
        """Start a sandbox in the host's network. parent: its cgroup's, as kubelet names them."""
        uid = str(uuid.uuid4())
        config: Message = {
            1: {1: name, 2: uid, 3: namespace},
            7: [{1: key, 2: value} for key, value in annotations.items()],
            8: {1: f"{parent}/pod{uid}", 2: {1: {1: NODE}}},
        }
        answer = self.call("RunPodSandbox", {1: config, 2: handler})
        return Pod(answer[1].decode(), config)

    def start(
        self, pod: Pod, name: str, image: str, *command: str, security: Message | None = None
    ) -> str:
        """Create and start a container; return its id. security: LinuxContainerSecurityContext."""
        limits: Message = {3: {1: NODE, 2: CONTAINER}, **(security or {})}
        config: Message = {1: {1: name}, 2: {1: image}, 3: list(command), 15: {2: limits}}
        answer = self.call("CreateContainer", {1: pod.id, 2: config, 3: pod.config})
        container = str(answer[1].decode())
        self.call("StartContainer", {1: container})
        return container

    def execute(self, container: str, *command: str) -> tuple[int, str]:
        """Return the exit code and stdout of a command in the container."""
        answer = self.call("ExecSync", {1: container, 2: list(command), 3: 60})
        return answer.get(3, 0), answer.get(1, b"").decode()

    def remove(self, pod: Pod) -> None:
        self.call("StopPodSandbox", {1: pod.id})
        self.call("RemovePodSandbox", {1: pod.id})
