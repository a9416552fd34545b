"""Make systemd reload its files, and restart services."""

from __future__ import annotations

import time
from pathlib import Path

from ksmrun.facts.systemd import Systemd
from ksmrun.facts.text import read_text
from ksmrun.model.wrap import LAUNCHERS

# For Type=simple, systemd counts a service as started once it has forked (systemd.service(5)).
SETTLE_SECONDS = 2.0
POLL_SECONDS = 0.05


def reload_manager(systemd: Systemd) -> None:
    """Reload systemd's unit files. Raises KsmrunError."""
    systemd.succeed("systemctl", "daemon-reload")


def restart(systemd: Systemd, name: str, *, wait: bool = True) -> bool:
    """Restart the service, and wait until its command was executed. False if it failed.

    wait: False only queues the restart.
    """
    # Also resets the start counter: at its limit systemd would refuse the start (StartLimitBurst=).
    systemd.call("systemctl", "reset-failed", "--", name)
    no_block = () if wait else ("--no-block",)
    if systemd.call("systemctl", "restart", *no_block, "--", name).returncode != 0:
        return False
    if not wait:
        return True
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline and not _is_settled(systemd, name):
        time.sleep(POLL_SECONDS)
    return True


def _is_settled(systemd: Systemd, name: str) -> bool:
    """Return whether it failed, ended, or executes neither systemd's nor our launcher."""
    properties = systemd.show(name)
    pid = properties.get("MainPID", "0")
    if properties.get("ActiveState") not in ("active", "activating", "reloading") or pid == "0":
        return True
    words = (read_text(Path("/proc") / pid / "cmdline") or "").split("\0")
    return words[0] not in (*LAUNCHERS, f"({name[:8]})") and not words[0].startswith("(")
