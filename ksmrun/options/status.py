"""`ksmrun status`: its options."""

from __future__ import annotations

from ksmrun.model.frozen import dataclass
from ksmrun.options.command import Command
from ksmrun.options.item import switch
from ksmrun.options.output import JSON


@dataclass(frozen=True)
class StatusOptions:
    """In which form."""

    as_json: bool = switch(JSON, name="--json")


STATUS = Command(
    ("status",),
    "Show on one screen whether merging is in order on this host, and what to do if not",
    (
        "One line per check: KSM and who sets it; whether all merged memory fits if it comes back, "
        "on the host and in the tightest cgroup; ksmd; the process nearest to its map limit; "
        "processes that should merge and do not; alerts of the monitor; missing launchers; stale "
        "wraps; changes that can be put back. Each line that is not ok is followed by the command "
        "to run. ?: this user may not see it.",
    ),
    StatusOptions,
    (("Look at this host", "sudo ksmrun status"),),
    (("1", "there is something to do, or to look at as root"),),
)
