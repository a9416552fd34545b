"""`ksmrun ps`: every merge-enabled process and what it gains."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ksmrun.commands.output import count, mib, print_json, print_table, sudo_line
from ksmrun.model import ProcessList, Sweeper
from ksmrun.observe.processes import list_processes

SCHEMA = "ksmrun-ps-1"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("ps", epilog="Example: sudo ksmrun ps")(ps)


def ps(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List what merges. And what each process gains.

    Without root only one's own processes can be read. The total subtracts the pages kept once;
    the sum of the profits does not.
    """
    found = list_processes()
    if as_json:
        print_json(
            SCHEMA,
            processes=[asdict(process) for process in found.processes],
            total_profit_bytes=found.profit_bytes,
            unreadable=found.unreadable,
            hidepid=found.hidepid,
        )
        return
    columns = dict.fromkeys(
        ("PID", "merged MiB", "zero MiB", "profit MiB", "RSS MiB", "PSS MiB"), "right"
    )
    columns |= {"by": "left", "command": "cut"}
    page_bytes = found.page_bytes
    rows = [
        [
            str(process.pid),
            mib(_bytes(process.merging_pages, page_bytes)),
            mib(_bytes(process.zero_pages, page_bytes)),
            mib(process.profit_bytes),
            mib(process.rss_bytes),
            mib(process.pss_bytes),
            process.enabled_by,
            process.command,
        ]
        for process in found.processes
    ]
    if rows:
        print_table(columns, rows)
    print(_total(found))
    for line in (*_stopped(found), *_unseen(found)):
        print(line)


def _bytes(pages: int | None, page_bytes: int) -> int | None:
    return None if pages is None else pages * page_bytes


def _total(found: ProcessList) -> str:
    number = len(found.processes)
    if number == 0:
        return "no merge-enabled process found; start one with `ksmrun run -- COMMAND`"
    processes = "1 process" if number == 1 else f"{number} processes"
    if found.profit_bytes is None:
        return f"{processes}; what they gain together cannot be read on this kernel"
    return (
        f"{processes}; together they save {mib(found.profit_bytes)} MiB, "
        f"the {count(found.pages_shared)} pages kept once and the metadata subtracted"
    )


def _stopped(found: ProcessList) -> list[str]:
    """The processes whose shim marks no more: at the limit the program would soon fail itself."""
    lines = []
    for process in found.processes:
        sweeper = process.sweeper
        if sweeper is None or sweeper.state in ("starting", "at-work"):
            continue
        name = f"PID {process.pid} ({process.command})"
        limit = fitting_limit(sweeper, found.max_map_count)
        if sweeper.state == "stopped-at-map-limit" and limit is not None:
            lines.append(
                f"{name} is marked no further: it has {sweeper.vmas} VMAs, more than the "
                f"{sweeper.vmas_max} that leave the reserve; to do: "
                f"{sudo_line(['host', 'max-map-count', str(limit)])}"
            )
        else:
            lines.append(f"{name} is marked no further: {sweeper.state}")
    return lines


def fitting_limit(sweeper: Sweeper, max_map_count: int | None) -> int | None:
    """The least power of two with which the shim would go on: the reserve is a share of it."""
    if not sweeper.vmas or not sweeper.vmas_max or not max_map_count:
        return None
    needed = sweeper.vmas * max_map_count // sweeper.vmas_max
    return 1 << needed.bit_length()


def _unseen(found: ProcessList) -> list[str]:
    lines = []
    if found.unreadable:
        lines.append(
            f"{found.unreadable} processes of other users could not be read; to do: "
            f"{sudo_line(['ps'])}"
        )
    if found.hidepid:
        lines.append(
            "/proc is mounted with hidepid, so other users' processes cannot even be counted; "
            f"to do: {sudo_line(['ps'])}"
        )
    return lines
