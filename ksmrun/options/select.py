"""Options that select running processes."""

from __future__ import annotations

from ksmrun.model.frozen import dataclass
from ksmrun.options.item import Kind, Values, argument, option, switch


@dataclass(frozen=True)
class SelectOptions:
    """Options that select running processes."""

    pids: tuple[int, ...] = argument(
        "Process IDs.", "PID", Kind.WHOLE, least=1, most=1 << 22, is_many=True, values=Values.PID
    )
    match: str | None = option(
        "Select the processes whose command line matches this regular expression.",
        metavar="REGEX",
    )
    unit: tuple[str, ...] = option(
        "Select the processes of this systemd unit.",
        metavar="UNIT",
        is_many=True,
        values=Values.UNIT,
    )
    container: tuple[str, ...] = option(
        "Select the processes of this container, by name or ID.",
        metavar="CONTAINER",
        is_many=True,
        values=Values.CONTAINER,
    )
    tree: bool = switch("Include all their children.")
