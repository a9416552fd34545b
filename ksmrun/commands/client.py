"""Says when a command only asks a daemon to start the program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ksmrun.facts.daemons import listener, named
from ksmrun.facts.process import read_ksm_stat
from ksmrun.plan.clients import Client, find_client


def asked_daemon(command: Sequence[bytes]) -> Client | None:
    """Return the client that would run for this command; None where what it starts merges."""
    client = find_client([os.fsdecode(word) for word in command], os.environ, os.geteuid())
    try:
        return None if client is None or _is_reached(client) else client
    except OSError:
        # No /proc, or no descriptor left: the launch goes on.
        return None


def _is_reached(client: Client) -> bool:
    """Whether what it starts merges: it starts the daemon itself, or the daemon merges already."""
    if client.socket is not None:
        pid = listener(Path(client.socket))
        return pid is None or _merges(pid)
    # A daemon that was started merged hands the flag on.
    daemons = () if client.process is None else named(client.process)
    return bool(daemons) and all(map(_merges, daemons))


def _merges(pid: int) -> bool:
    """Whether what this daemon starts inherits the flag, as far as the kernel tells."""
    try:
        return bool(pid and read_ksm_stat(Path("/proc") / str(pid)).merge_any)
    except OSError:
        return False
