"""Recognize the calls that container engines make to their runtimes."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Global options of runc(8), crun(1) and runsc, which precede the command; ksmrun has none.
OPTIONS = frozenset(
    (
        *("--log", "--log-format", "--log-level", "--debug", "--root", "--criu", "--rootless"),
        *("--systemd-cgroup", "--cgroup-manager"),
    )
)
# Commands that ksmrun does not have: those with a bundle, and those on a container's ID.
WITH_BUNDLE = ("create", "restore")
WITH_ID = ("start", "state", "kill", "delete", "exec", "pause", "resume", "update", "checkpoint")
ID = re.compile(r"[0-9a-f]{64}")


def is_oci_call(arguments: Sequence[str]) -> bool:
    """Return whether this is an engine's call, and not one of ksmrun's own commands."""
    first = arguments[0].partition("=")[0] if arguments else ""
    if first in OPTIONS:
        return True
    is_bundle = any(word.partition("=")[0] in ("--bundle", "-b") for word in arguments[1:])
    has_id = any(ID.fullmatch(word) for word in arguments[1:])
    return (
        first == "features" or (first in WITH_BUNDLE and is_bundle) or (first in WITH_ID and has_id)
    )
