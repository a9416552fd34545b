"""Memory of a cgroup with a limit."""

from __future__ import annotations

import shlex

from ksmrun.model.frozen import dataclass


@dataclass(frozen=True)
class GroupState:
    """Limited cgroup, and how much its processes have merged.

    free_bytes: memory it can still take, including page cache that would be dropped for it.
    limit_file: that the limit is written to. unit: of systemd's system manager, which sets the
    limit; None for others, as those of a user's manager.
    """

    path: str
    limit_bytes: int
    free_bytes: int
    merged_bytes: int
    limit_file: str
    unit: str | None = None

    @property
    def raising(self) -> str:
        """How to set a limit that everything merged fits into (systemd.resource-control(5))."""
        limit = -(-(self.limit_bytes + self.merged_bytes - self.free_bytes) // (1 << 20))
        if self.path == "/":
            # Only in a cgroup namespace the topmost has one, and there it is usually read-only.
            return f"raise this container's limit on its host (docker update --memory={limit}m)"
        if self.unit is None:
            return f"echo {limit}M | sudo tee {shlex.quote(self.limit_file)}"
        unit = shlex.quote(self.unit)
        return f"sudo systemctl set-property --runtime {unit} MemoryMax={limit}M"
