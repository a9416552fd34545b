"""Selection of running processes: options and the processes that they name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from ksmrun.facts.select import in_container, in_unit, matching
from ksmrun.model import KsmrunError
from ksmrun.observe.sampler import with_children

Pids = Annotated[list[int] | None, typer.Argument(metavar="[PID]...")]
Match = Annotated[
    str | None, typer.Option(metavar="REGEX", help="Processes with this in the command line.")
]
Unit = Annotated[
    list[str] | None, typer.Option(metavar="UNIT", help="Those of a systemd unit; again.")
]
Container = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Those of a container; again.")
]
Tree = Annotated[bool, typer.Option("--tree", help="With all their children.")]


def selected(
    pids: Sequence[int] | None,
    match: str | None,
    units: Sequence[str] | None,
    containers: Sequence[str] | None,
    *,
    tree: bool,
) -> tuple[int, ...]:
    """Return the selected processes, in order. Raises KsmrunError if an option selects none."""
    named = [(f"--unit {unit}", in_unit(unit)) for unit in units or ()]
    named += [(f"--container {name}", in_container(name)) for name in containers or ()]
    if match:
        named.append((f"--match {match}", matching(match)))
    for name, chosen in named:
        if not chosen:
            raise KsmrunError(
                f"no process found by {name}", "look at `systemd-cgls`, and at the name"
            )
    found = {*(pids or ()), *(pid for _, chosen in named for pid in chosen)}
    if not found:
        raise KsmrunError(
            "no process is named", "give PIDs, --match REGEX, --unit UNIT or --container NAME"
        )
    return tuple(sorted(found | set(with_children(tuple(found))) if tree else found))
