"""`ksmrun host`: switch and tune KSM on this host, and restore it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Annotated

import typer

from ksmrun.attach.gradually import detach_all
from ksmrun.commands.host_install import install
from ksmrun.commands.host_show import show
from ksmrun.commands.host_tune import tune
from ksmrun.commands.numbers import whole
from ksmrun.commands.output import print_line, sudo_line
from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.systemd import Systemd
from ksmrun.host import boot, service
from ksmrun.host.borrow import restore_abandoned
from ksmrun.host.fits import unmerge_bytes
from ksmrun.host.record import state_folder
from ksmrun.host.tunables import (
    WHILE_UNMERGED,
    parse_settings,
    restore,
    set_max_map_count,
    set_tunables,
)
from ksmrun.model import KsmrunError

MIB = 1 << 20
UNDO = "undo: ksmrun host restore"


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    host = typer.Typer(
        help="Switch and tune KSM on this host, and put it back.",
        no_args_is_help=True,
        rich_markup_mode=None,
        epilog="Example: sudo ksmrun host on",
    )
    host.command("on", epilog="Example: sudo ksmrun host on --boot")(on)
    host.command("off", epilog="Example: sudo ksmrun host off")(off)
    host.command("unmerge", epilog="Example: sudo ksmrun host unmerge")(unmerge)
    host.command("tune", epilog="Example: sudo ksmrun host tune --max-cpu 20% --dry-run")(tune)
    host.command("set", epilog="Example: sudo ksmrun host set pages_to_scan=2000")(set_)
    host.command("max-map-count", epilog="Example: sudo ksmrun host max-map-count 131072")(
        max_map_count
    )
    host.command("restore", epilog="Example: sudo ksmrun host restore")(restore_)
    host.command("install", epilog="Example: sudo ksmrun host install --pass-time 60s")(install)
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
        print_line(boot.enable(ROOT))


def off(
    at_boot: Annotated[bool, typer.Option("--boot", help="Also no longer at boot.")] = False,
) -> None:
    """Stop merging (run=0). What is merged stays merged until it is written to."""
    _apply({"run": "0"}, ["host", "off", *(["--boot"] if at_boot else [])])
    if at_boot:
        print_line(boot.disable(ROOT))


def unmerge(
    force: Annotated[
        bool, typer.Option("--force", help="Even if the memory does not fit.")
    ] = False,
    gradually: Annotated[
        bool,
        typer.Option(
            "--gradually",
            help="Process by process, each made to clear its flag (as `ksmrun detach`), as far as "
            "the memory fits; the rest at once.",
        ),
    ] = False,
) -> None:
    """Unmerge everything (run=2). Refused if the pages do not fit into free memory."""
    options = [*(["--force"] if force else []), *(["--gradually"] if gradually else [])]
    arguments = ["host", "unmerge", *options]
    if gradually:
        _print_lines(arguments, lambda: detach_all(force=force))
    _apply({"run": "2"}, arguments, force=force)


def set_(
    settings: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE...", help="Tunables; see `host show`.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Unmerge even if the memory does not fit.")
    ] = False,
    unmerge: Annotated[
        bool,
        typer.Option(
            "--unmerge", help="May unmerge all for what changes only while nothing is merged."
        ),
    ] = False,
) -> None:
    """Set tunables of KSM. Also khugepaged/max_ptes_shared, which undoes merging."""
    pairs = parse_settings(settings)
    options = [*(["--force"] if force else []), *(["--unmerge"] if unmerge else [])]
    if not unmerge and sys.stdin.isatty() and os.geteuid() == 0:
        unmerge = _asked_to_unmerge(pairs)
    _apply(pairs, ["host", "set", *settings, *options], force=force, unmerge=unmerge)


def _asked_to_unmerge(settings: dict[str, str]) -> bool:
    """Ask whoever is at the terminal; scripts need --unmerge."""
    names = [name for name in settings if name in WHILE_UNMERGED]
    ksm = read_ksm(ROOT)
    if not names or not ksm.number("pages_shared"):
        return False
    size = unmerge_bytes(ksm)
    return typer.confirm(
        f"{names[0]} changes only while nothing is merged: unmerge {size / MIB:.0f} MiB, and have "
        "ksmd begin anew?"
    )


def max_map_count(
    limit: Annotated[
        int,
        typer.Argument(
            parser=whole(1, (1 << 31) - 1), metavar="N", help="VMAs a process may have."
        ),
    ],
) -> None:
    """Set vm.max_map_count. It takes effect at once, and is refused if a process uses more."""

    def write() -> list[str]:
        line = set_max_map_count(limit, state_folder() / "host.json", ROOT)
        return [line] if line.endswith("already") else [line, UNDO]

    _print_lines(["host", "max-map-count", str(limit)], write)


def restore_(
    force: Annotated[
        bool, typer.Option("--force", help="Unmerge even if the memory does not fit.")
    ] = False,
    values: Annotated[
        bool, typer.Option("--values", help="Leave what is set at boot: only the values of now.")
    ] = False,
) -> None:
    """Restore what ksmrun changed. Also what a killed measurement left behind."""

    def put_back() -> list[str]:
        folder = state_folder()
        lines = restore_abandoned(folder, ROOT, force=force)
        lines += restore(folder / "host.json", ROOT, force=force)
        if not values and boot.is_enabled(ROOT):
            lines.append(boot.disable(ROOT))
        if not values and service.is_installed(ROOT):
            lines += service.remove(ROOT, Systemd())
        return lines or ["nothing to restore: no change is recorded"]

    options = [*(["--force"] if force else []), *(["--values"] if values else [])]
    _print_lines(["host", "restore", *options], put_back)


def _apply(
    settings: dict[str, str], arguments: list[str], *, force: bool = False, unmerge: bool = False
) -> None:
    def write() -> list[str]:
        record_file = state_folder() / "host.json"
        lines = set_tunables(settings, record_file, ROOT, force=force, unmerge=unmerge)
        return lines if all(line.endswith("already") for line in lines) else [*lines, UNDO]

    _print_lines(arguments, write)


def _print_lines(arguments: list[str], work: Callable[[], Iterable[str]]) -> None:
    """Print the lines that the work yields; without root, print the sudo command to type."""
    if os.geteuid() != 0 and not os.environ.get("KSMRUN_STATE_DIR"):
        raise KsmrunError("tuning KSM needs root", f"run: {sudo_line(arguments)}")
    for line in work():
        print_line(line)
