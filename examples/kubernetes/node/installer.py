"""Install the runtime on this node, and label it once a pod has merged there; or take it off.

Standard library only. The engine's configuration is judged by the engine before it counts, and put
back if the engine does not come up with it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shlex
import signal
import ssl
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The host's /etc as this container sees it.
ETC = Path(os.environ.get("HOST_ETC", "/host/etc"))
# For nodes without systemd, or with an engine of another name (k3s, rke2).
RESTART = os.environ.get("ENGINE_RESTART", "")
ADDRESS = os.environ.get("CONTAINERD_ADDRESS", "/run/containerd/containerd.sock")
LABEL, TEST_CLASS = "ksmrun.io/ready", "ksmrun-test"
UP_SECONDS, POD_SECONDS = 60.0, 180.0
LIBEXEC = "/usr/local/libexec/ksmrun"
FOLDERS = (LIBEXEC, "/usr/local/libexec", "/var/lib/ksmrun")
# Outlives this container, but not its pod: a configuration that was put back, and why.
REFUSED = Path("/tmp/refused.json")
# Bundles of running containers; what ksmrun-oci has wrapped has a mark in its mounts.
BUNDLES = (
    "/run/containerd/io.containerd.runtime.v2.task/k8s.io/*/config.json",
    "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/*/config.json",
    "/run/containers/storage/overlay-containers/*/userdata/config.json",
)
MARK = "ksmrun.wrapped"
OURS = re.compile(r"^# ksmrun: begin$.*?^# ksmrun: end$\n?", re.MULTILINE | re.DOTALL)
# PR_GET_MEMORY_MERGE (prctl(2)); succeeds in a process that merges.
MERGES = "import ctypes; raise SystemExit(ctypes.CDLL(None).prctl(68, 0, 0, 0, 0) != 1)"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Failed(Exception):
    """What happened, and what to do."""


def on_host(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program of the host's."""
    command = ["nsenter", "--target=1", "--mount", "--uts", "--ipc", "--net", "--pid", "--", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if check and done.returncode != 0:
        raise Failed(f"{shlex.join(words)} failed on the node: {done.stderr.strip()[-500:]}")
    return done


@dataclass(frozen=True)
class Engine:
    """Container engine. file: its configuration, below /etc. is_valid: asks it for a judgement."""

    name: str
    file: Path
    is_valid: Callable[[Path, str], None]
    is_up: Callable[[], bool]

    def restart(self) -> None:
        """Restart it; running containers stay."""
        words = shlex.split(RESTART) or ["systemctl", "restart", self.name]
        on_host(*words)

    def wait(self) -> bool:
        """Return whether it answers for CRI in time."""
        end = time.monotonic() + UP_SECONDS
        while time.monotonic() < end:
            if self.is_up():
                return True
            time.sleep(0.5)
        return False


def runtimes(dumped: str) -> dict[str, Any]:
    """Return the runtimes in a dumped configuration of containerd, of 1.x or 2.x."""
    plugins = tomllib.loads(dumped).get("plugins", {})
    for name in ("io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"):
        found = plugins.get(name, {}).get("containerd", {}).get("runtimes")
        if isinstance(found, dict):
            return found
    return {}


def judge_containerd(new: Path, old: str) -> None:
    """Raise Failed unless containerd reads the file, and has all runtimes that it had."""
    path = Path("/etc") / new.relative_to(ETC)
    has = runtimes(on_host("containerd", "--config", str(path), "config", "dump").stdout)
    had = runtimes(old) if old.strip() else {"runc": {}}
    if lost := set(had) - set(has):
        raise Failed(f"with the new lines containerd would lose the runtimes {sorted(lost)}")
    if OURS.search(new.read_text()) and "ksmrun" not in has:
        raise Failed(
            f"containerd does not see the lines added to {path}; it may import other files"
        )


def containerd_is_up() -> bool:
    """Return whether the CRI plugin has loaded."""
    rows = on_host("ctr", "--address", ADDRESS, "plugins", "ls", check=False).stdout.splitlines()
    states = [row.split() for row in rows]
    return any(
        len(row) > 3 and row[0] == "io.containerd.grpc.v1" and row[1] == "cri" and row[-1] == "ok"
        for row in states
    )


def judge_cri_o(new: Path, _: str) -> None:
    """Raise Failed unless the file is TOML; CRI-O reads it together with its other files."""
    tomllib.loads(new.read_text())


def cri_o_is_up() -> bool:
    """Return whether CRI-O answers."""
    return on_host("crio", "status", "info", check=False).returncode == 0


def find_engine() -> Engine:
    """Return this node's engine, by its configuration's folder."""
    if (ETC / "crio").is_dir():
        return Engine("crio", ETC / "crio/crio.conf.d/ksmrun.conf", judge_cri_o, cri_o_is_up)
    file = ETC / "containerd/config.toml"
    return Engine("containerd", file, judge_containerd, containerd_is_up)


def with_runtime(engine: Engine, old: str) -> str:
    """Return the configuration with the runtime; it is printed by ksmrun."""
    if engine.name == "crio":
        return run("ksmrun", "wrap", "runtime", "cri-o")
    words = ["ksmrun", "wrap", "runtime", "containerd", "--config", str(engine.file)]
    added = run(*words).replace(str(ETC), "/etc")
    joint = "\n" if old and not old.endswith("\n") else ""
    return f"{old}{joint}{added}"


def without_runtime(engine: Engine, old: str) -> str:
    """Return the configuration without it; empty if nothing is left."""
    return "" if engine.name == "crio" else OURS.sub("", old)


def change(engine: Engine, new: str) -> None:
    """Make new the configuration, or leave all as it was. Raises Failed."""
    file = engine.file
    # kubelet starts a container that failed again and again, but the engine is restarted once.
    if REFUSED.exists():
        refused, why = json.loads(REFUSED.read_text())
        if refused == new:
            raise Failed(f"{why}; to try again, delete this pod")
    old = file.read_text() if file.exists() else None
    file.parent.mkdir(exist_ok=True)
    candidate = file.with_name("ksmrun-candidate.toml")
    try:
        candidate.write_text(new)
        candidate.chmod(file.stat().st_mode & 0o777 if old is not None else 0o644)
        engine.is_valid(candidate, OURS.sub("", old or ""))
        if new:
            candidate.replace(file)
        else:
            file.unlink(missing_ok=True)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Failed(f"{file} was not changed: {error}") from error
    finally:
        candidate.unlink(missing_ok=True)
    try:
        engine.restart()
        is_up = engine.wait()
        why = "CRI did not come up"
    except (Failed, subprocess.TimeoutExpired) as error:
        is_up, why = False, str(error)
    if is_up:
        return
    if old is None:
        file.unlink(missing_ok=True)
    else:
        file.write_text(old)
    state = "and it is still down: look at its journal"
    try:
        engine.restart()
        state = "it is up again" if engine.wait() else state
    except (Failed, subprocess.TimeoutExpired) as error:
        state = f"{state}; {error}"
    why = f"{file} was put back, as with the new lines {why}; {state}"
    REFUSED.write_text(json.dumps([new, why]))
    raise Failed(why)


@contextmanager
def alone(engine: Engine) -> Iterator[None]:
    """Keep a second installer of this node out."""
    folder = engine.file.parent if engine.file.parent.is_dir() else ETC
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def run(*words: str) -> str:
    """Run a program of this image."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        raise Failed(done.stderr.strip() or f"{shlex.join(words)} failed")
    return done.stdout


def ask(method: str, path: str, body: object = None, kind: str = "application/json") -> Any:
    """Ask the API server; None where there is no such object."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    host = f"[{host}]" if ":" in host else host
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text().strip()}"}
    data = None
    if body is not None:
        headers["Content-Type"], data = kind, json.dumps(body).encode()
    url = f"https://{host}:{port}{path}"
    request = urllib.request.Request(url, data, headers, method=method)
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise Failed(
            f"the API server refuses {method} {path}: {error.code} {error.reason}"
        ) from error
    except (OSError, ValueError) as error:
        raise Failed(f"the API server cannot be asked: {error}") from error


def label(node: str, value: str | None) -> None:
    """Set or remove the node's label."""
    patch = {"metadata": {"labels": {LABEL: value}}}
    ask("PATCH", f"/api/v1/nodes/{node}", patch, "application/merge-patch+json")


def test_pod(name: str, node: str, own: dict[str, Any]) -> dict[str, Any]:
    """Return a pod that ends well if it merges, from the image of this one."""
    spec = own["spec"]
    hardened = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 65534,
    }
    container = {
        "name": "test",
        "image": spec["containers"][0]["image"],
        "imagePullPolicy": spec["containers"][0].get("imagePullPolicy", "IfNotPresent"),
        "command": ["python3", "-c", MERGES],
        "securityContext": hardened,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "ksmrun-test"}},
        "spec": {
            # The scheduler is not asked: the node has no label yet.
            "nodeName": node,
            "runtimeClassName": TEST_CLASS,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": int(POD_SECONDS),
            "automountServiceAccountToken": False,
            "tolerations": [{"operator": "Exists"}],
            "imagePullSecrets": spec.get("imagePullSecrets", []),
            "containers": [container],
        },
    }


def refuse_unmerged(node: str) -> None:
    """Raise Failed unless a test pod merges on this node."""
    pods = f"/api/v1/namespaces/{os.environ['POD_NAMESPACE']}/pods"
    own = ask("GET", f"{pods}/{os.environ['POD_NAME']}")
    name = f"ksmrun-test-{hashlib.sha256(node.encode()).hexdigest()[:10]}"
    end = time.monotonic() + POD_SECONDS
    ask("DELETE", f"{pods}/{name}")
    while ask("GET", f"{pods}/{name}") is not None and time.monotonic() < end:
        time.sleep(1)
    ask("POST", pods, test_pod(name, node, own))
    status: dict[str, Any] = {}
    try:
        while time.monotonic() < end:
            status = (ask("GET", f"{pods}/{name}") or {}).get("status", {})
            if status.get("phase") == "Succeeded":
                return
            if status.get("phase") == "Failed":
                break
            time.sleep(1)
    finally:
        ask("DELETE", f"{pods}/{name}")
    raise Failed(
        f"a test pod did not merge on {node} ({status.get('phase', 'no phase')} "
        f"{status.get('message', '')}), so it gets no label; see `kubectl get events`"
    )


def install(node: str) -> None:
    """Install, test, label."""
    try:
        run("ksmrun", "wrap", "install")
        engine = find_engine()
        with alone(engine):
            old = engine.file.read_text() if engine.file.exists() else ""
            is_there = (engine.name == "crio" and bool(old)) or OURS.search(old) is not None
            if not is_there:
                change(engine, with_runtime(engine, old))
        refuse_unmerged(node)
    except (Failed, OSError, subprocess.TimeoutExpired):
        # It may have one from before.
        label(node, None)
        raise
    label(node, "yes")
    print(f"{node} has the runtime ksmrun, and a test pod merged", flush=True)


def remove(node: str) -> None:
    """Take all off the node, unless containers still need it."""
    label(node, None)
    found = on_host("sh", "-c", f"grep -l {MARK} {' '.join(BUNDLES)} 2>/dev/null", check=False)
    if users := found.stdout.split():
        raise Failed(f"{len(users)} containers of {node} run by the runtime; roll them out without")
    engine = find_engine()
    with alone(engine):
        old = engine.file.read_text() if engine.file.exists() else ""
        new = without_runtime(engine, old)
        if new != old:
            change(engine, new)
    on_host("rm", "-rf", LIBEXEC)
    print(f"{node} has the runtime no more", flush=True)


def main(words: Sequence[str]) -> int:
    """Do it, then wait to be ended: a DaemonSet's pods do not end."""
    tasks = {"install": install, "remove": remove}
    if len(words) != 1 or words[0] not in tasks:
        print("usage: installer.py install|remove", file=sys.stderr)
        return 2
    try:
        tasks[words[0]](os.environ["NODE_NAME"])
    except (Failed, OSError, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 1
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    signal.sigwait(ending)
    if words[0] == "remove":
        # kubelet made them for volumes.
        on_host("rmdir", "--ignore-fail-on-non-empty", *FOLDERS, check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
