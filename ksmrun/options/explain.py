"""Options of `ksmrun explain`."""

from __future__ import annotations

from ksmrun.model.frozen import dataclass
from ksmrun.options.command import Command
from ksmrun.options.item import Kind, Values, argument, seconds
from ksmrun.options.output import TableOptions


@dataclass(frozen=True)
class ExplainOptions(TableOptions):
    """Options of `ksmrun explain`."""

    pid: int = argument(
        "Process ID.",
        "PID",
        Kind.WHOLE,
        least=1,
        most=1 << 22,
        is_required=True,
        values=Values.PID,
    )
    look_seconds: float = seconds(
        "Seconds to watch the process; the more full scans, the more certain the answer.",
        2.0,
        name="--seconds",
        least=0.1,
        most=86400.0,
    )


EXPLAIN = Command(
    ("explain",),
    "Explain why a process merges, or why not more of it",
    (
        "Watch one process for some seconds and read up to 1000 of its pages. Takes half a second "
        "more for 65,000 mappings.",
    ),
    ExplainOptions,
    (("Explain this shell", "sudo ksmrun explain $$"),),
)
