"""Memory of a cgroup with a limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GroupState:
    """Limited cgroup, and how much its processes have merged.

    free_bytes: memory it can still take, including page cache that would be dropped for it.
    """

    path: str
    limit_bytes: int
    free_bytes: int
    merged_bytes: int
