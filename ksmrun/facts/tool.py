"""Asking container tools: their output, whatever language and bytes."""

from __future__ import annotations

import subprocess

from ksmrun.model import KsmrunError


def run_tool(
    command: list[str], timeout_seconds: float, todo: str
) -> subprocess.CompletedProcess[str]:
    """Raises KsmrunError, with this to do, where it cannot be started or does not end."""
    try:
        return subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout_seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KsmrunError(f"{command[0]}: {error}", todo) from error
