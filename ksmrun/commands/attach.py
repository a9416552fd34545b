"""`ksmrun attach` and `detach`: start or stop merging of running programs, without a restart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median

from ksmrun.attach.running import carry_out, look
from ksmrun.commands.declare import Registry, declare
from ksmrun.commands.output import print_json, print_line, print_table, say
from ksmrun.commands.selection import selected
from ksmrun.commands.table import Column
from ksmrun.facts.host import read_host
from ksmrun.facts.ksm import ROOT
from ksmrun.facts.launcher import cached_probe
from ksmrun.host.attach_state import attached_file, remember
from ksmrun.host.unmerge_safety import check_fits
from ksmrun.model.attach import Attached, Candidate, Deed
from ksmrun.model.errors import EXIT_FAILURE, KsmrunError
from ksmrun.options.attach import ATTACH, DETACH, AttachOptions, DetachOptions
from ksmrun.plan.attach import UNMERGEABLE_NOTE, deed, deed_to, refusal

SCHEMA = "ksmrun-attach-1"


def register(registry: Registry) -> None:
    """Add both commands."""
    declare(registry, ATTACH, attach)
    declare(registry, DETACH, detach)


def attach(options: AttachOptions) -> None:
    """Make the selected processes merge."""
    _do(selected(options), True, options.dry_run, options.as_json)


def detach(options: DetachOptions) -> None:
    """Make the selected processes stop merging."""
    _do(selected(options), False, options.dry_run, options.as_json, force=options.force)


def _do(
    pids: Sequence[int], merges: bool, dry_run: bool, as_json: bool, *, force: bool = False
) -> None:
    wanted = deed(merges=merges, has_flag=bool(cached_probe().prctl_supported))
    limit = read_host(ROOT).max_map_count
    results: list[Attached] = []
    is_whole = True
    todo: list[Candidate] = []
    by_deed: dict[Deed, list[Candidate]] = {}
    for pid in pids:
        try:
            candidate = look(pid)
        except KsmrunError as error:
            say(str(error))
            is_whole = False
            continue
        refused = refusal(candidate, limit, wanted)
        if refused is not None:
            results.append(Attached(candidate, False, *refused))
        elif (needed := deed_to(candidate, wanted)) is None:
            results.append(
                Attached(candidate, True, "already attached" if merges else "already detached")
            )
        else:
            todo.append(candidate)
            by_deed.setdefault(needed, []).append(candidate)
    if not merges and not force:
        check_fits({each.identity.pid: each.merged_pages for each in todo}, ROOT)
    if dry_run:
        results += [Attached(each, True, "would be done") for each in todo]
    elif todo:
        done = [each for needed, those in by_deed.items() for each in carry_out(those, needed)]
        results += done
        if wanted in (Deed.MARK, Deed.UNMARK):
            is_whole = _is_remembered(done, attach=merges) and is_whole
    results.sort(key=lambda each: each.candidate.identity.pid)
    if as_json:
        done_to = [asdict(each) for each in results]
        print_json(SCHEMA, deed=wanted, results=done_to, marks_unmergeable=wanted.merges)
    else:
        _print(results, "attached" if merges else "detached")
        if wanted is Deed.MARK and any(each.done for each in results) and not dry_run:
            print_line(
                "Memory that they map later is not marked; to do: sudo ksmrun monitor --follow"
            )
        if wanted.merges and any(each.stopped_ns is not None for each in results if each.done):
            print_line(UNMERGEABLE_NOTE)
    if not is_whole or not all(each.done for each in results):
        raise SystemExit(EXIT_FAILURE)


def _is_remembered(results: Sequence[Attached], *, attach: bool) -> bool:
    """Save the processes for `ksmrun monitor --follow`. Says why if that fails."""
    file = attached_file()
    them = [each.candidate.identity for each in results if each.done]
    processes = {who.pid: who.start_ticks for who in them if who.start_ticks is not None}
    if file is None or not processes:
        return True
    try:
        remember(file, processes, attach=attach)
    except KsmrunError as error:
        say(str(error))
        return False
    return True


def _print(results: Sequence[Attached], verb: str) -> None:
    rows = []
    for each in results:
        who = each.candidate.identity
        text = f"{each.why}; {each.todo}" if each.todo else each.why or verb
        stopped = "-" if each.stopped_ns is None else f"{each.stopped_ns / 1000:.0f}"
        rows.append([str(who.pid), who.name, stopped, text])
    if rows:
        columns = [
            Column("PID", "right"),
            Column("name", "left"),
            Column("stopped, µs", "right", 1),
            Column("result", "fold"),
        ]
        print_table(columns, rows)
    stops = [each.stopped_ns for each in results if each.done and each.stopped_ns is not None]
    if stops:
        print_line(
            f"{len(stops)} {verb}; stopped for {median(stops) / 1000:.0f} µs in the median, "
            f"{max(stops) / 1000:.0f} µs at most"
        )
