"""Recognize the calls that container engines make to their runtimes."""

from __future__ import annotations

from collections.abc import Sequence

# Global options of runc(8), crun(1) and runsc, which stand before the command; ksmrun has none.
OPTIONS = frozenset(
    (
        *("--log", "--log-format", "--log-level", "--debug", "--root", "--criu", "--rootless"),
        *("--systemd-cgroup", "--cgroup-manager"),
    )
)
# Commands that ksmrun does not have.
WITH_BUNDLE = ("create", "restore")


def is_oci_call(arguments: Sequence[str]) -> bool:
    """Tell whether this is an engine's call, and none of ksmrun's own commands."""
    first = arguments[0].partition("=")[0] if arguments else ""
    if first in OPTIONS:
        return True
    is_bundle = any(word.partition("=")[0] in ("--bundle", "-b") for word in arguments[1:])
    return first == "features" or (first in WITH_BUNDLE and is_bundle)
