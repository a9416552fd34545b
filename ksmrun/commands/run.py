"""`ksmrun run`: plan a launch, and become ksmrun-exec."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer

from ksmrun.commands.client import asked_daemon
from ksmrun.commands.numbers import whole
from ksmrun.commands.output import parse_share, say
from ksmrun.commands.run_plan import LayoutWish, plan_run, start
from ksmrun.launch.inplace import initial_arguments
from ksmrun.model import (
    EXIT_OWN_FAILURE,
    GuardMode,
    KsmrunError,
    LayoutMode,
    LayoutScope,
    Mechanism,
    MergeMode,
    Request,
    SeedMode,
    ThpMode,
)
from ksmrun.plan.launch import shell_line

SIZE_BYTES_MAX, SIZE_DIGITS_MAX = 1 << 40, 13
EPILOG = "Example: ksmrun run --verify -- ./server --port 8303"


def register(app: typer.Typer) -> None:
    """Add the command. What follows the options belongs to the program, whatever it looks like."""
    app.command(
        "run",
        epilog=EPILOG,
        no_args_is_help=False,
        options_metavar="[OPTIONS] [--] COMMAND [ARG]...",
        context_settings={"allow_interspersed_args": False, "allow_extra_args": True},
    )(run)


def run(
    context: typer.Context,
    merge: Annotated[
        MergeMode,
        typer.Option(envvar="KSMRUN_MERGE", help="Set the merge flag, clear it, or leave it."),
    ] = MergeMode.ON,
    thp: Annotated[
        ThpMode,
        typer.Option(envvar="KSMRUN_THP", help="off: no transparent huge pages for COMMAND."),
    ] = ThpMode.KEEP,
    require: Annotated[
        bool,
        typer.Option(
            "--require",
            envvar="KSMRUN_REQUIRE",
            help="Exit with 125 instead of starting COMMAND where memory will not merge.",
        ),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            envvar="KSMRUN_VERIFY",
            help="After the exec, one line on stderr: did the merge flag arrive?",
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", envvar="KSMRUN_QUIET", help="No line where COMMAND starts anyway."),
    ] = False,
    mechanism: Annotated[
        Mechanism,
        typer.Option(
            envvar="KSMRUN_MECHANISM",
            help="How memory comes to merge: by what this kernel needs, by the flag set before the "
            "exec, by the flag set from inside by a preloaded shim, marked by the shim, or by the "
            "flag that a helper has the program set right after its exec.",
        ),
    ] = Mechanism.AUTO,
    mark_min: Annotated[
        str,
        typer.Option(
            envvar="KSMRUN_MARK_MIN",
            metavar="SIZE",
            help="Of neighbouring mappings together: the shim marks no less.",
        ),
    ] = "64K",
    inherit: Annotated[
        bool,
        typer.Option(
            "--inherit/--no-inherit",
            envvar="KSMRUN_INHERIT",
            help="Whether the shim goes on to COMMAND's children.",
        ),
    ] = True,
    layout: Annotated[
        LayoutMode,
        LayoutScope,
        typer.Option(
            envvar="KSMRUN_LAYOUT",
            help="shared: the secret addresses of a group, so that pages full of pointers merge.",
        ),
    ] = LayoutMode.RANDOM,
    layout_group: Annotated[
        str,
        typer.Option(
            envvar="KSMRUN_LAYOUT_GROUP", metavar="NAME", help="Which programs share the layout."
        ),
    ] = "default",
    layout_scope: Annotated[
        LayoutScope,
        typer.Option(
            envvar="KSMRUN_LAYOUT_SCOPE",
            help="Whom it reaches: the program, through shells and wrappers, or all it starts.",
        ),
    ] = LayoutScope.PROGRAM,
    seeds: Annotated[
        SeedMode,
        typer.Option(
            envvar="KSMRUN_SEEDS",
            help="With --layout=shared: one hash seed for CPython, Perl and Lua too, or their own.",
        ),
    ] = SeedMode.SHARED,
    guard: Annotated[
        GuardMode,
        typer.Option(
            envvar="KSMRUN_GUARD",
            help="Where COMMAND would come too near vm.max_map_count: start it without merging if "
            "that helps, only warn, exit with 125, or do not look.",
        ),
    ] = GuardMode.SKIP,
    map_reserve: Annotated[
        str,
        typer.Option(
            envvar="KSMRUN_MAP_RESERVE", metavar="SHARE", help="Of vm.max_map_count, to keep free."
        ),
    ] = "20%",
    expect_maps: Annotated[
        int | None,
        typer.Option(
            parser=whole(1, (1 << 31) - 1),
            metavar="N",
            envvar="KSMRUN_EXPECT_MAPS",
            help="How many maps COMMAND has at its peak.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the ksmrun-exec command line, and do not run it."),
    ] = False,
) -> None:
    """Start COMMAND with its memory merged. It takes the place of ksmrun and keeps the PID.

    The program sees what it would see without ksmrun. Exit codes: 125 ksmrun failed, 126 COMMAND
    cannot be run, 127 COMMAND not found, else COMMAND's own.
    """
    if not context.args:
        raise KsmrunError("no command given", "see `ksmrun run --help`", EXIT_OWN_FAILURE)
    wish = None
    if layout is LayoutMode.SHARED:
        wish = LayoutWish(layout_group, seeds, layout_scope)
    request = Request(
        command=initial_arguments(len(context.args)),
        merge=merge,
        thp=thp,
        require=require,
        verify=verify,
        quiet=quiet,
        mechanism=mechanism,
        guard=guard,
        map_reserve=parse_share(
            "--map-reserve", map_reserve, below_all=True, exit_code=EXIT_OWN_FAILURE
        ),
        expect_maps=expect_maps,
        mark_min_bytes=_size_bytes(mark_min),
        inherit=inherit,
    )
    request = _without_client(request, wish is not None)
    plan = plan_run(request, wish)
    if not quiet:
        for warning in plan.warnings:
            say(warning)
    if dry_run:
        # The line does not show what happens to seeds.
        for reason in plan.reasons if wish is not None and not quiet else ():
            say(reason)
        sys.stdout.buffer.write(shell_line(plan) + b"\n")
        return
    start(plan, request)


def _without_client(request: Request, wants_layout: bool) -> Request:
    """Warn that a daemon's client does not merge what it starts; do not verify the client."""
    if request.merge is not MergeMode.ON and not wants_layout:
        return request
    try:
        client = asked_daemon(request.command)
    # Advice that fails is no reason not to start the program.
    except Exception:  # noqa: BLE001
        client = None
    if client is None:
        return request
    if request.require:
        raise KsmrunError(f"{client.found}; not started", client.way, EXIT_OWN_FAILURE)
    if not request.quiet:
        verified = "; that is not verified" if request.verify else ""
        say(f"{client.found}{verified}; to do: {client.way}")
    return replace(request, verify=False)


def _size_bytes(text: str) -> int:
    """Parse 65536, 64K, 2M or 1G as bytes. Raises KsmrunError for anything else."""
    number, unit = (text[:-1], text[-1:].upper()) if text[-1:].isalpha() else (text, "")
    shift = {"": 0, "K": 10, "M": 20, "G": 30}.get(unit)
    is_number = number.isascii() and number.isdecimal() and len(number) <= SIZE_DIGITS_MAX
    if shift is None or not is_number or int(number) << shift > SIZE_BYTES_MAX:
        raise KsmrunError(
            f"--mark-min is a size as 65536, 64K or 2M, up to 1024G, not {text[:40]!r}",
            "for example --mark-min=64K",
            EXIT_OWN_FAILURE,
        )
    return int(number) << shift
