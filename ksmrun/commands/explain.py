"""`ksmrun explain`: why one process's memory is merged, or not more of it."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from ksmrun.commands.declare import Registry, declare
from ksmrun.commands.output import mib, print_json, print_line, print_note, print_table
from ksmrun.commands.table import Column, Style, style_of, wants_json
from ksmrun.facts.launcher import cached_probe, shim_path
from ksmrun.facts.layout import starts_from_container_init, why_no_layout
from ksmrun.facts.runtime import find_runtime
from ksmrun.facts.seeds import has_group_seed
from ksmrun.facts.stat import command_words, memory_folder
from ksmrun.facts.target import look_at
from ksmrun.host.key_memory import key_lost_at
from ksmrun.host.layout_groups import groups_of
from ksmrun.host.layout_keys import keys_folder
from ksmrun.model.errors import KsmrunError
from ksmrun.model.explain import Cause, ProcessLook
from ksmrun.model.launch import Request
from ksmrun.observe.groups import container_label
from ksmrun.observe.inspect import look_at_process
from ksmrun.options.explain import EXPLAIN, ExplainOptions
from ksmrun.options.output import Format
from ksmrun.plan.explain import explain as find_causes
from ksmrun.plan.mechanism import choose, not_preloadable
from ksmrun.plan.seeds import shared_seeds
from ksmrun.support.units import duration

SCHEMA = "ksmrun-explain-1"
WAYS = {
    "prctl": "on, by the flag of the process (prctl)",
    "shim": "on, by the shim, which marks its memory",
    "madvise": "on, by the program itself, which marks memory with madvise",
    "seen": "on, as ksmd scans it; this kernel does not show what switched it on",
}


def register(registry: Registry) -> None:
    """Add the command."""
    declare(registry, EXPLAIN, explain)


def explain(options: ExplainOptions) -> None:
    """Look at the process, and name the causes."""
    style = style_of(options)
    pid = options.pid
    look = look_at_process(pid, options.look_seconds)
    causes = find_causes(look, _obstacle(look))
    group = groups_of([pid]).get(pid)
    if wants_json(options):
        print_json(
            SCHEMA,
            process=asdict(look),
            layout_group=group,
            seeds=None if group is None else _seeds(pid),
            causes=[asdict(cause) for cause in causes],
        )
        return
    for line in _describe(look):
        print_note(line, style)
    if look.after is not None:
        print_note(f"{'layout':<10}{_layout(look, group)}", style)
        if group is not None:
            print_note(f"{'seeds':<10}{_seeds(look.identity.pid)}", style)
    _print_causes(causes, style)


def _obstacle(look: ProcessLook) -> tuple[str, str] | None:
    """Return why `ksmrun run` could not make it merge either, as far as its file shows."""
    if look.enabled_by is not None or look.after is None:
        return None
    process = Path("/proc") / str(look.identity.pid)
    executable = os.fsencode(memory_folder(process) / "exe")
    words = [*map(os.fsencode, command_words(process))]
    target = look_at(executable, os.environb, words[1:], memory_folder(process))
    shim = shim_path()
    obstacle = choose(Request((executable,)), cached_probe(), target, shim).obstacle
    unreachable = not_preloadable(target, shim)
    if obstacle is None or unreachable is None:
        return obstacle
    return f"{obstacle[0]}, and the shim cannot be used: {unreachable}", obstacle[1]


def _describe(look: ProcessLook) -> list[str]:
    who, after = look.identity, look.after
    where = [f"user {who.user}", f"up {duration(look.age_seconds)}"]
    where += [f"unit {who.unit}"] if who.unit else []
    where += [f"container {container_label(who)}"] if who.container else []
    lines = [f"PID {who.pid} ({who.command}): {', '.join(where)}"]
    if after is None:
        return lines
    page_bytes, total = after.ksm.page_bytes, look.total
    anonymous, shared = total("anonymous_bytes"), look.kinds.get("shared")
    shared_bytes = 0 if shared is None else shared.rss_bytes
    files_bytes = total("rss_bytes") - anonymous - shared_bytes
    zero_bytes = (after.zero_pages or 0) * page_bytes
    rows = {
        "merging": WAYS.get(look.enabled_by or "", "off"),
        "merged": f"{mib((after.merging_pages or 0) * page_bytes)} MiB, and {mib(zero_bytes)} MiB "
        f"of zero pages; {mib(after.profit_bytes)} MiB are saved, metadata subtracted",
        "scanned": f"{mib((after.rmap_items or 0) * page_bytes)} of "
        f"{mib(total('marked_bytes'))} MiB that are marked",
        "memory": f"{mib(total('rss_bytes'))} MiB resident: {mib(anonymous)} anonymous, "
        f"{mib(shared_bytes)} shared, {mib(files_bytes)} of files; "
        f"{mib(total('swap_bytes'))} in swap",
        "maps": _maps(look),
    }
    return lines + [f"{name:<10}{text}" for name, text in rows.items()]


def _layout(look: ProcessLook, group: str | None) -> str:
    """Return whose addresses it has; for the kernel's own, why it cannot have a group's."""
    if group is not None:
        return f"its group's, {group}"
    folder = Path(f"/proc/{look.identity.pid}")
    found = why_no_layout(memory_folder(folder))
    because = found or _without_layout(look.age_seconds)
    if found is None and starts_from_container_init(folder):
        because += (
            ", or by its container's first process, which is followed only where it is a known "
            "wrapper or names a program in its arguments (--layout-scope=tree follows it always)"
        )
    return f"random, or that of a group whose key is not here: {because}"


def _seeds(pid: int) -> str:
    """Return what the shim has given it from the group's seed, as far as its file shows."""
    folder = Path("/proc") / str(pid)
    if not has_group_seed(folder):
        return "its own, or only those in variables (PYTHONHASHSEED, PERL_HASH_SEED)"
    target = look_at(os.fsencode(memory_folder(folder) / "exe"), os.environb)
    what = shared_seeds(find_runtime(target), target.libc)
    return f"its group's: {what or 'those of Lua, if it is inside'}"


def _without_layout(age_seconds: float) -> str:
    """Return the cause if nothing about the program keeps it from a layout."""
    with contextlib.suppress(KsmrunError):
        folder = keys_folder()
        lost_at = key_lost_at(folder)
        if lost_at is not None and time.time() - age_seconds < lost_at:
            when = datetime.fromtimestamp(lost_at).astimezone().isoformat(" ", "minutes")
            return (
                f"the key in {folder} was deleted, as was seen at {when}, and this was started "
                "before; start the programs of its group again, together"
            )
    return "it was started without one, or before a rotation"


def _maps(look: ProcessLook) -> str:
    maps, limit = look.total("vmas"), look.max_map_count
    return f"{maps}" if limit is None else f"{maps} of {limit}: {limit - maps} left"


def _print_causes(causes: tuple[Cause, ...], style: Style) -> None:
    if not causes:
        print_note("nothing prevents a notable part of it from merging", style)
        return
    if style.format is Format.TABLE:
        print_line()
    columns = [
        Column("why not more", "name"),
        Column("MiB", "right"),
        Column("found", "fold"),
        Column("to do", "fold"),
    ]
    rows = [
        [cause.name, "" if cause.size_bytes is None else mib(cause.size_bytes), *texts]
        for cause in causes
        for texts in [(cause.found, cause.todo)]
    ]
    print_table(columns, rows, style)
