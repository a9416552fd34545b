"""`ksmrun trust`: who merges, in which trust domain, and which domain may."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ksmrun.commands.declare import Given, Registry, declare
from ksmrun.commands.output import (
    mib,
    print_file,
    print_json,
    print_line,
    print_note,
    print_table,
    say,
    sudo_line,
)
from ksmrun.commands.table import Column, Style, style_of, wants_json
from ksmrun.facts.identity import user_name
from ksmrun.facts.pages import PAGE_BYTES
from ksmrun.facts.pids import require_proc
from ksmrun.facts.trust_containers import ContainerReader
from ksmrun.facts.trust_mergers import find_mergers
from ksmrun.host.trust_state import read_trust_state
from ksmrun.launch.trust_claim import claim, release, required_trust
from ksmrun.model.errors import EXIT_FAILURE, KsmrunError
from ksmrun.model.frozen import dataclass
from ksmrun.model.trust import Member, Trust
from ksmrun.options.command import NoOptions
from ksmrun.options.trust import (
    CHECK,
    CLAIM,
    INIT,
    PLAN,
    RELEASE,
    SHOW,
    CheckOptions,
    ClaimOptions,
    PlanOptions,
    ReleaseOptions,
    ShowOptions,
)
from ksmrun.plan.trust import ending, holder, members, who, wrong_with
from ksmrun.plan.trust_proposal import proposal
from ksmrun.support.units import processes

SCHEMA = "ksmrun-trust-1"
PIDS_SHOWN = 5


@dataclass(frozen=True)
class _Look:
    """State of this host. claimed: by the state file; held_by: see plan/trust.py: holder().

    damage: what is wrong with the state file, and what to do; None if nothing.
    """

    file: Path
    trust: Trust
    members: tuple[Member, ...]
    unread: tuple[int, ...]
    claimed: str | None
    held_by: str | None
    damage: tuple[str, str] | None

    def findings(self) -> Iterator[tuple[str, str]]:
        """Yield what is wrong, and what to do."""
        if self.damage is not None:
            yield self.damage
        if self.claimed is not None and self.claimed not in self.trust.names:
            yield (
                f"trust domain {self.claimed} is claimed, and {self.file} no longer has it",
                "run: sudo ksmrun trust release, and claim it by its new name",
            )
        for each in self.members:
            if (wrong := wrong_with(each, self.held_by)) is not None:
                yield f"{who(each.merger)} merges, and {wrong}", ending(each.merger)
        if self.unread:
            shown = ", ".join(map(str, self.unread[:PIDS_SHOWN]))
            more = ", ..." if len(self.unread) > PIDS_SHOWN else ""
            yield (
                f"{processes(len(self.unread))} may merge and cannot be seen here "
                f"(PID {shown}{more})",
                "run this as root, on the host",
            )

    def is_unasked(self, found: Member) -> bool:
        """Return whether no claim stands behind the process."""
        return not found.is_exempt and (found.domain is None or found.domain != self.claimed)


def register(registry: Registry) -> None:
    """Add the commands."""
    declare(registry, SHOW, show)
    declare(registry, INIT, init)
    declare(registry, CHECK, check)
    declare(registry, CLAIM, claim_)
    declare(registry, RELEASE, release_)
    declare(registry, PLAN, plan)


def show(options: ShowOptions) -> None:
    """Print every merging process with its domain."""
    found = _look(options.file)
    if wants_json(options):
        print_json(SCHEMA, **_document(found))
        return
    style = style_of(options)
    columns = [
        Column("domain", "left"),
        Column("PID", "right"),
        Column("name", "name"),
        Column("unit or container", "cut", 1),
        Column("user", "left", 2),
        Column("by", "left"),
        Column("merged, MiB", "right", 3),
        Column("asked", "left"),
        Column("wrong", "fold"),
    ]
    order = sorted(found.members, key=lambda each: (each.domains, each.merger.pid))
    print_table(columns, [_row(found, each) for each in order], style)
    _print_notes(found, style)


def _row(found: _Look, each: Member) -> list[str]:
    merger = each.merger
    uids = merger.traits.uids
    return [
        ", ".join(each.domains) or ("exempt" if each.is_exempt else "-"),
        str(merger.pid),
        merger.name,
        merger.place or "-",
        user_name(uids[1]) if len(uids) > 1 else "-",
        merger.enabled_by,
        mib(merger.merged_pages * PAGE_BYTES),
        "no" if found.is_unasked(each) else "-" if each.is_exempt else "yes",
        wrong_with(each, found.held_by) or "-",
    ]


def _print_notes(found: _Look, style: Style) -> None:
    claimed = "none is claimed" if found.claimed is None else f"{found.claimed} is claimed"
    merges = "none merges" if found.held_by is None else f"{found.held_by} merges"
    names = ", ".join(found.trust.names) or "none"
    print_note(f"trust domains: {names}; {claimed}, {merges}", style)
    unasked = sum(map(found.is_unasked, found.members))
    if unasked:
        print_note(
            f"{processes(unasked, 'merge')} without --domain and without a claim",
            style,
        )
    for what, todo in found.findings():
        print_note(f"{what}; to do: {todo.removeprefix('run: ')}", style)


def check(options: CheckOptions) -> None:
    """Print what is wrong, and exit with 1 if anything is."""
    found = _look(options.file)
    wrong = list(found.findings())
    if options.as_json:
        print_json(SCHEMA, **_document(found))
    else:
        for what, todo in wrong:
            print_line(f"{what}; to do: {todo.removeprefix('run: ')}")
        if not wrong:
            merges = "nothing merges" if found.held_by is None else f"only {found.held_by} merges"
            print_line(f"{options.file} is valid, and {merges}")
    if wrong:
        raise SystemExit(EXIT_FAILURE)


def init(_options: NoOptions) -> None:
    """Print a proposed file."""
    require_proc()
    mergers = find_mergers(ContainerReader(asks=True))
    if mergers.unread:
        say(
            f"{len(mergers.unread)} processes cannot be examined, and may merge; to do: run this "
            "as root, on the host"
        )
    print_file(proposal(mergers.found, user_name))


def claim_(options: ClaimOptions, given: Given) -> None:
    """Claim the host for a domain."""
    _as_root(given, lambda: claim(options.domain))


def release_(options: ReleaseOptions, given: Given) -> None:
    """Give it up."""
    _as_root(given, lambda: release(options.domain))


def plan(options: PlanOptions) -> None:
    """Print how domains are kept apart by memory nodes."""
    # Imported here: the others need none of it.
    from ksmrun.commands.trust_plan import print_plan

    print_plan(options)


def _as_root(given: Given, work: Callable[[], str]) -> None:
    if os.geteuid() != 0:
        raise KsmrunError(
            "only root sees all who merge, so only root claims and releases",
            f"run: {sudo_line(given.line)}",
        )
    print_line(work())


def _look(file: Path) -> _Look:
    """Return the present state. Raises KsmrunError if the file is missing or not to be trusted."""
    require_proc()
    trust = required_trust(file)
    claimed, damage = None, None
    try:
        state = read_trust_state()
        claimed = None if state is None else state.domain
    except KsmrunError as error:
        damage = (error.what, error.todo)
    mergers = find_mergers(ContainerReader(asks=trust.asks_engines))
    found = members(trust, mergers.found)
    return _Look(file, trust, found, mergers.unread, claimed, holder(found, claimed), damage)


def _document(found: _Look) -> dict[str, Any]:
    return {
        "file": str(found.file),
        "domains": [{"name": each.name, "nodes": each.nodes} for each in found.trust.domains],
        "claimed": found.claimed,
        "merges": found.held_by,
        "processes": [
            {
                "pid": each.merger.pid,
                "start_ticks": each.merger.start_ticks,
                "name": each.merger.name,
                "place": each.merger.place,
                "enabled_by": each.merger.enabled_by,
                "merged_bytes": each.merger.merged_pages * PAGE_BYTES,
                "domains": each.domains,
                "exempt": each.is_exempt,
                "asked": not found.is_unasked(each),
                "wrong": wrong_with(each, found.held_by),
                "traits": asdict(each.merger.traits),
            }
            for each in found.members
        ],
        "unread": found.unread,
        "findings": [{"what": what, "todo": todo} for what, todo in found.findings()],
    }
