"""`ksmrun trust plan`: domains on memory nodes of their own."""

from __future__ import annotations

import contextlib

from ksmrun.commands.output import mib, print_json, print_line, print_note, print_table
from ksmrun.commands.table import Column, style_of, wants_json
from ksmrun.facts.identity import pinned
from ksmrun.facts.numa import read_node_use, read_numa_host
from ksmrun.facts.pids import require_proc
from ksmrun.facts.stat import read_program
from ksmrun.facts.trust_containers import ContainerReader
from ksmrun.facts.trust_mergers import find_mergers
from ksmrun.launch.trust_claim import required_trust
from ksmrun.model.errors import EXIT_FAILURE
from ksmrun.model.numa import NodeUse, PlacedMember
from ksmrun.model.trust import Member
from ksmrun.options.trust import PlanOptions
from ksmrun.plan.numa import bindings, costs, exposures, obstacles, steps
from ksmrun.plan.trust import members
from ksmrun.support.nodelist import node_list
from ksmrun.support.units import processes

SCHEMA = "ksmrun-trust-plan-1"


def print_plan(options: PlanOptions) -> None:
    """Print it, and exit with 1 unless the domains are kept apart now."""
    require_proc()
    trust = required_trust(options.file)
    host = read_numa_host()
    mergers = find_mergers(ContainerReader(asks=trust.asks_engines))
    placed = [PlacedMember(each, _use(each)) for each in members(trust, mergers.found)]
    bound = bindings(trust, host, placed)
    assert host is not None  # bindings() has refused it
    wrong = list(obstacles(host, bound))
    exposed = list(exposures(host, bound, placed))
    if mergers.unread:
        unread = f"{processes(len(mergers.unread))} may merge and cannot be seen here"
        exposed.append((unread, "run this as root, on the host"))
    commands = list(steps(trust, host, bound, placed))
    is_apart = not wrong and not exposed
    if wants_json(options):
        findings = [{"what": what, "todo": todo} for what, todo in (*wrong, *exposed)]
        domains = [
            {
                "name": each.domain,
                "nodes": node_list(each.nodes),
                "given": each.is_given,
                "used_bytes": each.used_bytes,
                "room_bytes": each.room_bytes,
            }
            for each in bound
        ]
        print_json(
            SCHEMA,
            apart=is_apart,
            nodes=node_list(host.numbers),
            merge_across_nodes=host.merge_across_nodes,
            domains=domains,
            findings=findings,
            steps=commands,
            costs=list(costs(bound)),
        )
    else:
        style = style_of(options)
        columns = [
            Column("domain", "left"),
            Column("nodes", "left"),
            Column("by", "left"),
            Column("merging now, MiB", "right"),
            Column("room, MiB", "right"),
        ]
        rows = [
            [
                each.domain,
                node_list(each.nodes) or "-",
                "file" if each.is_given else "plan",
                mib(each.used_bytes),
                mib(each.room_bytes),
            ]
            for each in bound
        ]
        print_table(columns, rows, style)
        for what, todo in (*wrong, *exposed):
            print_note(f"{what}; to do: {todo}", style)
        if is_apart:
            print_note("the domains' pages cannot meet: each is on nodes of its own", style)
        for line in costs(bound):
            print_note(f"cost: {line}", style)
        if not is_apart:
            for line in commands:
                print_line(f"    {line}")
    if not is_apart:
        raise SystemExit(EXIT_FAILURE)


def _use(member: Member) -> NodeUse | None:
    """Return where its memory is; None if it has ended, its PID is another's, or it is not ours."""
    merger = member.merger
    with contextlib.suppress(OSError), pinned(merger.pid) as folder:
        if read_program(folder).start_ticks == merger.start_ticks:
            return read_node_use(folder)
    return None
