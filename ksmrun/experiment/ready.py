"""Readiness of a copy: by its output, a port, a file, a command, or after some time."""

from __future__ import annotations

import shlex
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from ksmrun.experiment.placeholders import PATTERN as PLACEHOLDER
from ksmrun.experiment.placeholders import PORT_MAX, Instance, expand
from ksmrun.experiment.traffic import refuse_no_command
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.experiment import Ready
from ksmrun.observe.sampler import with_children
from ksmrun.support import match
from ksmrun.support.words import shortened

LOCAL = ("127.0.0.1", "localhost", "[::1]")
CONNECT_SECONDS = 0.5
COMMAND_SECONDS = 10.0


@dataclass(frozen=True)
class Started:
    """Copy that was started."""

    instance: Instance
    pid: int
    log: Path
    monotonic_seconds: float


def checker(ready: Ready, port: int | None) -> Callable[[Started], bool]:
    """Return the check of one kind. Raises KsmrunError if its value is invalid.

    port: the fleet's first, for {port}.
    """
    kinds: dict[str, Callable[[str, Started], bool]] = {
        "stdout": _stdout,
        "tcp": _tcp,
        "udp": _udp,
        "file": lambda value, _started: Path(value).exists(),
        "cmd": _command,
        "after": lambda value, started: (
            time.monotonic() - started.monotonic_seconds >= float(value)
        ),
    }
    if ready.kind not in kinds:
        raise KsmrunError(
            f"the plan has an unknown way of being ready, {ready.kind!r}", "start a new experiment"
        )
    _refuse_bad(ready)
    check = kinds[ready.kind]
    if ready.kind == "stdout":
        # A regex may contain braces of its own.
        return lambda started: check(ready.value, started)
    return lambda started: check(expand(ready.value, started.instance, port), started)


def port_number(ready: Ready) -> int | None:
    """Return the one port of this host to wait for; None if each copy has its own, or none."""
    host, _, port = ready.value.rpartition(":")
    is_here = ready.kind in ("tcp", "udp") and host in ("", *LOCAL)
    return int(port) if is_here and port.isascii() and port.isdigit() else None


def _refuse_bad(ready: Ready) -> None:
    # A UDP port is searched by number only, whatever its address.
    port = ready.value.rpartition(":")[2] if ready.kind == "tcp" else ready.value
    is_number = port.isascii() and port.isdigit() and 0 < int(port) <= PORT_MAX
    if ready.kind in ("tcp", "udp") and not (PLACEHOLDER.search(port) or is_number):
        raise UsageError(
            f"--ready-{ready.kind}={shortened(ready.value)} has no valid port",
            f"give a number from 1 to {PORT_MAX}, or {{port}}",
        )
    if ready.kind == "cmd":
        refuse_no_command("--ready-cmd", ready.value)
    if ready.kind == "stdout":
        match.compiled("--ready-stdout", ready.value)


def _stdout(value: str, started: Started) -> bool:
    text = started.log.read_bytes().decode("utf-8", "replace")
    return bool(match.found("--ready-stdout", value, text))


def _tcp(value: str, _started: Started) -> bool:
    host, _, port = value.rpartition(":")
    try:
        with socket.create_connection((host or "127.0.0.1", int(port)), CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _udp(value: str, started: Started) -> bool:
    """Return whether the copy or a descendant has bound the port: UDP sends no reply."""
    for pid in with_children([started.pid]):
        try:
            connections = psutil.Process(pid).net_connections("udp")
        except psutil.Error:
            continue
        if any(each.laddr and str(each.laddr.port) == value for each in connections):
            return True
    return False


def _command(value: str, started: Started) -> bool:
    try:
        done = subprocess.run(
            shlex.split(value),
            cwd=started.instance.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    except OSError as error:
        raise KsmrunError(
            f"cannot start --ready-cmd={shortened(value)}: {error.strerror}", "give its whole path"
        ) from error
    return done.returncode == 0
