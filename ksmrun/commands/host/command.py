"""`ksmrun host`: switch and tune KSM on this host, and restore it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable

from ksmrun.attach.gradually import detach_all
from ksmrun.commands.declare import Given, Registry, declare
from ksmrun.commands.output import print_line, sudo_line
from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.pages import PAGE_BYTES
from ksmrun.facts.systemd import Systemd
from ksmrun.host import boot, boot_unit
from ksmrun.host.auto import TUNED, auto_tuner
from ksmrun.host.record import state_folder
from ksmrun.host.temporary_tunables import restore_abandoned
from ksmrun.host.tunables import (
    WHILE_UNMERGED,
    parse_settings,
    restore,
    set_max_map_count,
    set_tunables,
)
from ksmrun.model.errors import KsmrunError
from ksmrun.observe.scanning import mergeable_memory
from ksmrun.options.host import (
    MAX_MAP_COUNT,
    OFF,
    ON,
    RESTORE,
    SET,
    UNMERGE,
    MapCountOptions,
    OffOptions,
    OnOptions,
    RestoreOptions,
    SetOptions,
    UnmergeOptions,
)
from ksmrun.plan.pace import pace_line
from ksmrun.support.units import MIB

UNDO = "undo: sudo ksmrun host restore"


def register(registry: Registry) -> None:
    """Add the commands that have no module of their own."""
    declare(registry, ON, on)
    declare(registry, OFF, off)
    declare(registry, UNMERGE, unmerge)
    declare(registry, SET, set_)
    declare(registry, MAX_MAP_COUNT, max_map_count)
    declare(registry, RESTORE, restore_)


def on(options: OnOptions, given: Given) -> None:
    """Start ksmd."""
    was_on = read_ksm(ROOT).run == 1
    _apply({"run": "1"}, given)
    mergeable_bytes = 0 if was_on else mergeable_memory(looks=False).mergeable_pages * PAGE_BYTES
    if not was_on and (line := pace_line(read_ksm(ROOT), mergeable_bytes)):
        print_line(line)
    if options.at_boot:
        print_line(boot.enable(ROOT))


def off(options: OffOptions, given: Given) -> None:
    """Stop ksmd."""
    _apply({"run": "0"}, given)
    if options.at_boot:
        print_line(boot.disable(ROOT))


def unmerge(options: UnmergeOptions, given: Given) -> None:
    """Give all processes their own pages back."""
    if options.gradually:
        _print_lines(given, lambda: detach_all(force=options.force))
    _apply({"run": "2"}, given, force=options.force)


def set_(options: SetOptions, given: Given) -> None:
    """Set tunables, after asking whether to unmerge for it."""
    pairs = parse_settings(options.settings)
    unmerges = options.unmerge
    if not unmerges and sys.stdin.isatty() and os.geteuid() == 0:
        unmerges = _asked_to_unmerge(pairs)
    _apply(pairs, given, force=options.force, unmerge=unmerges)


def _asked_to_unmerge(settings: dict[str, str]) -> bool:
    """Ask whoever is at the terminal; scripts need --unmerge."""
    # Imported here: it takes longer to import than the commands take.
    import typer

    names = [name for name in settings if name in WHILE_UNMERGED]
    ksm = read_ksm(ROOT)
    if not names or not ksm.number("pages_shared"):
        return False
    size = ksm.merged_bytes
    try:
        return typer.confirm(
            f"{names[0]} changes only while nothing is merged: unmerge {size / MIB:.0f} MiB, and "
            "merge them again with the new value?"
        )
    except typer.Abort as error:
        print_line()
        raise KsmrunError(
            "there was no answer, so nothing was changed", "answer y or n, or add --unmerge"
        ) from error


def max_map_count(options: MapCountOptions, given: Given) -> None:
    """Set the limit."""
    limit = options.limit

    def write() -> list[str]:
        line = set_max_map_count(limit, state_folder() / "host.json", ROOT)
        return [line] if line.endswith("already") else [line, UNDO]

    _print_lines(given, write)


def restore_(options: RestoreOptions, given: Given) -> None:
    """Put back what is recorded."""
    force, values = options.force, options.values

    def put_back() -> list[str]:
        folder = state_folder()
        lines = restore_abandoned(folder, ROOT, force=force)
        lines += restore(folder / "host.json", ROOT, force=force)
        if not values and boot.is_enabled(ROOT):
            lines.append(boot.disable(ROOT))
        if not values and boot_unit.is_installed(ROOT):
            lines += boot_unit.remove(ROOT, Systemd())
        return lines or ["nothing to restore: no change is recorded"]

    _print_lines(given, put_back)


def _apply(
    settings: dict[str, str], given: Given, *, force: bool = False, unmerge: bool = False
) -> None:
    def write() -> list[str]:
        record_file = state_folder() / "host.json"
        lines = set_tunables(settings, record_file, ROOT, force=force, unmerge=unmerge)
        undo = [] if all(line.endswith("already") for line in lines) else [UNDO]
        tuners = auto_tuner(state_folder()) if settings.keys() & set(TUNED) else []
        return [*lines, *undo, *(f"note: {each.what}; {each.todo}" for each in tuners)]

    _print_lines(given, write)


def _print_lines(given: Given, work: Callable[[], Iterable[str]]) -> None:
    """Print the lines that the work yields; without root, print the sudo command to type."""
    if os.geteuid() != 0 and not os.environ.get("KSMRUN_STATE_DIR"):
        raise KsmrunError("changing KSM needs root", f"run: {sudo_line(given.line)}")
    for line in work():
        print_line(line)
