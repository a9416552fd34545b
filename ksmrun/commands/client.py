"""Recognise a command that only asks a daemon to start the program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ksmrun.plan.clients import Client, find_client


def asked_daemon(command: Sequence[bytes]) -> Client | None:
    """Return the client that would run for this command; None if what it starts merges."""
    client = find_client([os.fsdecode(word) for word in command], os.environ, os.geteuid())
    try:
        return None if client is None or _is_reached(client) else client
    except OSError:
        # No /proc, or no descriptor left: the launch goes on.
        return None


def _is_reached(client: Client) -> bool:
    """Return whether what it starts merges, because it starts the daemon, or the daemon merges."""
    # Imported here: few programs are clients.
    from ksmrun.facts.daemons import listener, named

    if client.socket is not None:
        pid = listener(Path(client.socket))
        return pid is None or _merges(pid)
    # A daemon that was started merged passes the flag on.
    daemons = () if client.process is None else named(client.process)
    return bool(daemons) and all(map(_merges, daemons))


def _merges(pid: int) -> bool:
    """Return whether what this daemon starts inherits the flag, as far as the kernel shows."""
    from ksmrun.facts.process import read_ksm_stat

    try:
        return bool(pid and read_ksm_stat(Path("/proc") / str(pid)).merge_any)
    except OSError:
        return False
