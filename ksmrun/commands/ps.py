"""`ksmrun ps`: every merge-enabled process and what it gains."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import Any

from ksmrun.commands.declare import Registry, declare
from ksmrun.commands.output import (
    count,
    mib,
    print_json,
    print_json_line,
    print_note,
    print_table,
    sudo_line,
)
from ksmrun.commands.table import Column, Style, style_of, wants_json
from ksmrun.facts.host import read_host
from ksmrun.host.layout_groups import groups_of
from ksmrun.model.process import By, ProcessKsm, ProcessList, Sort, Sweeper
from ksmrun.model.quantities import Unit
from ksmrun.observe.groups import Group, group, sort_groups
from ksmrun.observe.processes import ProcessWatch
from ksmrun.observe.quantities import QUANTITIES
from ksmrun.options.ps import PS, PsOptions
from ksmrun.plan.guard import fitting_limit
from ksmrun.plan.pace import wait_line
from ksmrun.support.units import processes

SCHEMA = "ksmrun-ps-1"
# Columns for figures_of(). On a narrow terminal the gain stays, and then the headroom.
PRIORITIES = {"zero": 7, "maps": 5, "RSS": 4, "PSS": 3, "headroom": 2}
UNITS = {Unit.BYTES: " MiB", Unit.MAPS: ""}
FIGURES = tuple(
    Column(f"{each.word}{UNITS[each.unit]}", "right", PRIORITIES.get(each.word, 0))
    for each in QUANTITIES
)
# Cursor to the top left, and all below it cleared (console_codes(4)).
CLEAR = "\x1b[H\x1b[J"


def register(registry: Registry) -> None:
    """Add the command."""
    declare(registry, PS, ps)


def ps(options: PsOptions) -> None:
    """List once, or again and again."""
    style = style_of(options)
    processes = ProcessWatch()
    while True:
        started = time.monotonic()
        host = read_host()
        found = processes.look(host)
        watch = options.watch_seconds
        if wants_json(options):
            _print_json(found, options.by, options.sort, one_line=watch is not None)
        else:
            if watch is not None and sys.stdout.isatty():
                print(end=CLEAR)
            _print_table(found, options.by, options.sort, style)
            resident = sum(process.rss_bytes or 0 for process in found.processes)
            if line := wait_line(host.ksm, resident):
                print_note(line, style)
        if watch is None:
            return
        sys.stdout.flush()
        pause = max(watch, processes.pause_seconds)
        time.sleep(max(0.0, started + pause - time.monotonic()))


def _print_json(found: ProcessList, by: By, sort: Sort, *, one_line: bool) -> None:
    limit = found.max_map_count
    fields: dict[str, Any] = {
        "processes": [process_fields(process, limit) for process in found.processes],
        "by": by,
        "groups": [
            _group_fields(row, limit, found.page_bytes)
            for row in sort_groups(group(found.processes, by), sort)
        ],
        "total_profit_bytes": found.profit_bytes,
        "total_profit_bytes_min": found.profit_bytes_min,
        "total_profit_bytes_max": found.profit_bytes_max,
        "merged_pages_of_others": found.others_pages,
        "max_map_count": limit,
        "unreadable": found.unreadable,
        "hidepid": found.hidepid,
    }
    layouts = groups_of(process.pid for process in found.processes)
    for row in fields["processes"]:
        row["layout_group"] = layouts.get(row["pid"])
    if one_line:
        print_json_line(SCHEMA, **fields)
    else:
        print_json(SCHEMA, **fields)


def process_fields(process: ProcessKsm, max_map_count: int | None) -> dict[str, Any]:
    """Return everything known of a process, flat."""
    fields = asdict(process)
    del fields["image"]
    headroom = Group(process.pid, "", (process,)).headroom_maps(max_map_count)
    namespace, pod_name, _ = process.identity.pod_names or (None, None, None)
    return {
        **fields.pop("identity"),
        "namespace": namespace,
        "pod_name": pod_name,
        **fields,
        "headroom_maps": headroom,
    }


def _group_fields(row: Group, max_map_count: int | None, page_bytes: int) -> dict[str, Any]:
    return {
        "name": row.name,
        "pids": [process.pid for process in row.processes],
        "merging_pages": row.merging_pages,
        "zero_pages": row.zero_pages,
        "profit_bytes": row.profit_bytes,
        "rss_bytes": row.rss_bytes,
        "pss_bytes": row.pss_bytes,
        "uss_bytes": row.uss_bytes,
        "copy_bytes": row.copy_bytes(),
        "request_bytes": row.request_bytes(page_bytes),
        "maps": row.maps,
        "headroom_maps": row.headroom_maps(max_map_count),
        "enabled_by": row.enabled_by,
    }


def _print_table(found: ProcessList, by: By, sort: Sort, style: Style) -> None:
    single = by is By.PROCESS
    layouts = groups_of(process.pid for process in found.processes)
    columns = [
        Column("PID" if single else "processes", "right"),
        Column("command", "command") if single else Column(by, "cut"),
        *FIGURES,
        Column("by", "left", 6),
        *([Column("layout", "left", 1)] if layouts else []),
    ]
    rows = [
        [
            row.name if single else str(len(row.processes)),
            row.processes[0].command if single else row.name,
            *figures_of(row, found),
            row.enabled_by,
            *([_layout_of(row, layouts)] if layouts else []),
        ]
        for row in sort_groups(group(found.processes, by), sort)
    ]
    if rows:
        print_table(columns, rows, style)
    print_note(total_line(found), style)
    for line in (*_stopped(found), *unseen(found)):
        print_note(line, style)


def _layout_of(row: Group, layouts: dict[int, str]) -> str:
    """Return the groups whose layout its processes have; "own": the kernel's for each."""
    names = {layouts.get(process.pid, "own") for process in row.processes}
    return ", ".join(sorted(names))


def figures_of(row: Group, found: ProcessList) -> list[str]:
    """Return the values of all quantities, in their order; sizes in MiB."""
    figures = []
    for quantity in QUANTITIES:
        value = quantity.read(row, found.page_bytes, found.max_map_count)
        figures.append(mib(value) if quantity.unit is Unit.BYTES else count(value))
    return figures


def total_line(found: ProcessList) -> str:
    """Return what all processes save together."""
    number = len(found.processes)
    if number == 0:
        return "no merge-enabled process found; start one with `ksmrun run -- COMMAND`"
    counted = processes(number)
    least, most, others = found.profit_bytes_min, found.profit_bytes_max, found.others_pages
    if least is None or most is None:
        return f"{counted}; what they gain together cannot be read on this kernel"
    if most < 0:
        return f"{counted}; together they cost {mib(-most)} MiB more (metadata) than they save"
    if not others:
        saved = f"save {mib(least)} MiB" if least >= 0 else f"cost {mib(-least)} MiB more"
        return (
            f"{counted}; together they {saved}, "
            f"the {count(found.pages_shared)} pages kept once and the metadata subtracted"
        )
    merged = (found.pages_shared or 0) + (found.pages_sharing or 0)
    saved = f"{mib(least)} to {mib(most)} MiB" if least > 0 else f"up to {mib(most)} MiB"
    return (
        f"{counted}; together they save {saved}, metadata subtracted; not exact, as {others} of "
        f"the {merged} merged pages of this host belong to processes that are not listed"
    )


def _stopped(found: ProcessList) -> list[str]:
    """Warn of processes whose shim has stopped marking, because the program nears the limit."""
    lines = []
    for process in found.processes:
        sweeper = process.sweeper
        if sweeper is None or sweeper.state in ("starting", "at-work"):
            continue
        name = f"PID {process.pid} ({process.command})"
        limit = limit_for(sweeper, found.max_map_count)
        if sweeper.state == "stopped-at-map-limit" and limit is not None:
            lines.append(
                f"{name} is marked no further: it has {sweeper.vmas} VMAs, more than the "
                f"{sweeper.vmas_max} that leave the reserve; to do: "
                f"{sudo_line(['host', 'max-map-count', str(limit)])}"
            )
        else:
            lines.append(f"{name} is marked no further: {sweeper.state}")
    return lines


def limit_for(sweeper: Sweeper, max_map_count: int | None) -> int | None:
    """Return the limit with which the shim goes on: its reserve is a share of it."""
    if not sweeper.vmas or not sweeper.vmas_max or not max_map_count:
        return None
    return fitting_limit(sweeper.vmas, 1 - sweeper.vmas_max / max_map_count)


def unseen(found: ProcessList) -> list[str]:
    """Return what could not be read, and how to read it."""
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
