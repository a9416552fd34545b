"""Says when a command only asks a daemon to start the program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ksmrun.facts.listening import listener
from ksmrun.facts.process import read_ksm_stat
from ksmrun.plan.clients import Client, find_client


def asked_daemon(command: Sequence[bytes]) -> Client | None:
    """Return the client that would run for this command; None where what it starts merges."""
    client = find_client([os.fsdecode(word) for word in command], os.environ, os.geteuid())
    if client is None or client.socket is None:
        return client
    pid = listener(Path(client.socket))
    return None if pid is None or _merges(pid) else client


def _merges(pid: int) -> bool:
    """Whether what this daemon starts inherits the flag, as far as the kernel tells."""
    try:
        return bool(pid and read_ksm_stat(Path("/proc") / str(pid)).merge_any)
    except OSError:
        return False
