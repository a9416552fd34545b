"""`ksmrun host`: switch and tune KSM on this host, and put it back."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

import typer

from ksmrun.commands.output import mib, print_json, print_table, sudo_line
from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.host import boot
from ksmrun.host.borrow import restore_abandoned
from ksmrun.host.record import state_folder
from ksmrun.host.tunables import (
    parse_settings,
    restore,
    set_max_map_count,
    set_tunables,
    tunable_names,
)
from ksmrun.model import KsmFacts, KsmrunError

SCHEMA = "ksmrun-host-1"
UNDO = "undo: ksmrun host restore"


def register(app: typer.Typer) -> None:
    """Adds the group of commands."""
    host = typer.Typer(
        help="Switch and tune KSM on this host, and put it back.",
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog="Example: sudo ksmrun host on",
    )
    host.command("on", epilog="Example: sudo ksmrun host on --boot")(on)
    host.command("off", epilog="Example: sudo ksmrun host off")(off)
    host.command("unmerge", epilog="Example: sudo ksmrun host unmerge")(unmerge)
    host.command("set", epilog="Example: sudo ksmrun host set pages_to_scan=2000")(set_)
    host.command("max-map-count", epilog="Example: sudo ksmrun host max-map-count 131072")(
        max_map_count
    )
    host.command("restore", epilog="Example: sudo ksmrun host restore")(restore_)
    host.command("show", epilog="Example: ksmrun host show")(show)
    app.add_typer(host, name="host")


def on(
    at_boot: Annotated[
        bool, typer.Option("--boot", help="Also at every boot (tmpfiles.d).")
    ] = False,
) -> None:
    """Start merging (run=1)."""
    _apply({"run": "1"}, ["host", "on", *(["--boot"] if at_boot else [])])
    if at_boot:
        print(boot.enable(ROOT))


def off(
    at_boot: Annotated[bool, typer.Option("--boot", help="Also no longer at boot.")] = False,
) -> None:
    """Stop merging (run=0). What is merged stays merged until it is written to."""
    _apply({"run": "0"}, ["host", "off", *(["--boot"] if at_boot else [])])
    if at_boot:
        print(boot.disable(ROOT))


def unmerge(
    force: Annotated[
        bool, typer.Option("--force", help="Even if the memory does not fit.")
    ] = False,
) -> None:
    """Unmerge everything (run=2). Refused where the pages do not fit into free memory."""
    _apply({"run": "2"}, ["host", "unmerge", *(["--force"] if force else [])], force=force)


def set_(
    settings: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE...", help="Tunables; see `host show`.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="run=2 even if the memory does not fit.")
    ] = False,
) -> None:
    """Set tunables of /sys/kernel/mm/ksm."""
    pairs = parse_settings(settings)
    _apply(pairs, ["host", "set", *settings, *(["--force"] if force else [])], force=force)


def max_map_count(
    limit: Annotated[int, typer.Argument(min=1, metavar="N", help="VMAs a process may have.")],
) -> None:
    """Set vm.max_map_count. It counts at once, and is refused where a process uses more."""

    def write() -> list[str]:
        line = set_max_map_count(limit, state_folder() / "host.json", ROOT)
        return [line] if line.endswith("already") else [line, UNDO]

    _print_lines(["host", "max-map-count", str(limit)], write)


def restore_(
    force: Annotated[
        bool, typer.Option("--force", help="Unmerge even if the memory does not fit.")
    ] = False,
) -> None:
    """Put back what ksmrun changed. Also what a killed measurement left behind."""

    def put_back() -> list[str]:
        folder = state_folder()
        lines = restore_abandoned(folder, ROOT, force=force)
        lines += restore(folder / "host.json", ROOT, force=force)
        if boot.is_enabled(ROOT):
            lines.append(boot.disable(ROOT))
        return lines or ["nothing to restore: no change is recorded"]

    _print_lines(["host", "restore", *(["--force"] if force else [])], put_back)


def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show all tunables and counters. And what KSM saves."""
    ksm = read_ksm()
    if not ksm.present:
        raise KsmrunError(
            "/sys/kernel/mm/ksm is not there: no KSM in this kernel, or /sys is not mounted",
            "see `ksmrun check`",
        )
    tunables = tunable_names(ROOT)
    if as_json:
        print_json(
            SCHEMA,
            tunables={name: ksm.values.get(name) for name in tunables},
            counters={name: v for name, v in ksm.values.items() if name not in tunables},
            page_bytes=ksm.page_bytes,
            saved_bytes=_saved_bytes(ksm),
            dedup_factor=_dedup_factor(ksm),
            profit_bytes=ksm.number("general_profit"),
        )
        return
    rows = [["tunable", name, _shown(ksm, name)] for name in tunables]
    rows += [["counter", name, _shown(ksm, name)] for name in ksm.values if name not in tunables]
    print_table({"kind": "left", "name": "left", "value": "left"}, rows)
    factor = _dedup_factor(ksm)
    print(
        f"saved: {mib(_saved_bytes(ksm))} MiB"
        f"; dedup factor: {'-' if factor is None else f'{factor:.1f}'}"
        f"; profit, metadata subtracted: {mib(ksm.number('general_profit'))} MiB"
    )


def _apply(settings: dict[str, str], arguments: list[str], *, force: bool = False) -> None:
    def write() -> list[str]:
        lines = set_tunables(settings, state_folder() / "host.json", ROOT, force=force)
        return lines if all(line.endswith("already") for line in lines) else [*lines, UNDO]

    _print_lines(arguments, write)


def _print_lines(arguments: list[str], work: Callable[[], list[str]]) -> None:
    """Prints what the work reports; tells who is not root the line to type."""
    if os.geteuid() != 0 and not os.environ.get("KSMRUN_STATE_DIR"):
        raise KsmrunError("tuning KSM needs root", f"run: {sudo_line(arguments)}")
    for line in work():
        print(line)


def _saved_bytes(ksm: KsmFacts) -> int | None:
    """Memory not used thanks to merging, before its metadata: a page for each place sharing one."""
    sharing = ksm.number("pages_sharing")
    if sharing is None:
        return None
    # 6.18 can lose count of zero pages, and go below none.
    return (sharing + max(0, ksm.number("ksm_zero_pages") or 0)) * ksm.page_bytes


def _dedup_factor(ksm: KsmFacts) -> float | None:
    """How many places each kept page serves, on average."""
    shared, sharing = ksm.number("pages_shared"), ksm.number("pages_sharing")
    if not shared or sharing is None:
        return None
    return (sharing + shared) / shared


UNITS = {
    "pages_to_scan": "pages a batch",
    "sleep_millisecs": "ms between batches",
    "stable_node_chains_prune_millisecs": "ms",
    "advisor_max_cpu": "% of a core",
    "advisor_target_scan_time": "s a pass",
    "advisor_min_pages_to_scan": "pages a batch",
    "advisor_max_pages_to_scan": "pages a batch",
    "max_page_sharing": "places a page",
    "full_scans": "passes",
    "stable_node_chains": "chains",
    "stable_node_dups": "pages",
}
# Counters of pages, shown in MiB too.
PAGE_COUNTERS = (
    "pages_shared",
    "pages_sharing",
    "pages_unshared",
    "pages_volatile",
    "pages_scanned",
    "pages_skipped",
    "ksm_zero_pages",
)
MEANINGS = {
    "run": {0: "off", 1: "on", 2: "unmerging"},
    "merge_across_nodes": {0: "off", 1: "on"},
    "use_zero_pages": {0: "off", 1: "on"},
    "smart_scan": {0: "off", 1: "on"},
}


def _shown(ksm: KsmFacts, name: str) -> str:
    value = ksm.values.get(name)
    if not isinstance(value, int):
        return "unreadable" if value is None else str(value)
    if name == "general_profit":
        return f"{value} bytes ({mib(value)} MiB)"
    if name in PAGE_COUNTERS:
        return f"{value} pages ({mib(value * ksm.page_bytes)} MiB)"
    if name in MEANINGS:
        return f"{value} ({MEANINGS[name].get(value, 'unknown')})"
    return f"{value} {UNITS.get(name, '')}".strip()
