"""Run container tools and read their output, whatever its language and encoding."""

from __future__ import annotations

import os
import subprocess

from ksmrun.model.errors import KsmrunError


def run_tool(
    command: list[str], timeout_seconds: float, todo: str
) -> subprocess.CompletedProcess[str]:
    """Run a tool. Raises KsmrunError, with this todo, if it cannot be started or does not end."""
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
    except OSError as error:
        if error.filename == os.devnull:
            raise KsmrunError(
                f"{os.devnull}, the input of {command[0]}: {error.strerror}",
                f"let everybody use it: sudo chmod 666 {os.devnull}",
            ) from error
        raise KsmrunError(f"cannot start {command[0]}: {error.strerror}", todo) from error
    except subprocess.TimeoutExpired as error:
        raise KsmrunError(f"{command[0]} takes more than {timeout_seconds:.0f} s", todo) from error
