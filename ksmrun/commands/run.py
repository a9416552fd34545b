"""`ksmrun run`: plan a launch, and become ksmrun-exec."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from ksmrun.commands.output import parse_share, say
from ksmrun.facts.launcher import cached_probe, launcher_path, shim_path
from ksmrun.facts.target import look_at
from ksmrun.launch.inplace import exec_in_place, initial_arguments, initial_environment
from ksmrun.model import (
    EXIT_OWN_FAILURE,
    GuardMode,
    KsmrunError,
    LayoutMode,
    LayoutScope,
    Mechanism,
    MergeMode,
    Plan,
    Probe,
    Refusal,
    Request,
    SeedMode,
    SharedLayout,
    ThpMode,
)
from ksmrun.plan.launch import needs_judgement, plan_launch, shell_line
from ksmrun.plan.mechanism import adds_vmas, choose

EPILOG = "Example: ksmrun run --verify -- ./server --port 8303"


def register(app: typer.Typer) -> None:
    """Adds the command. What follows the options is the program's, whatever it looks like."""
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
            min=1,
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
    """Start COMMAND with its memory merged. In place: it keeps the PID.

    The program sees what it would see without ksmrun. Exit codes: 125 ksmrun failed,
    126 COMMAND cannot be run, 127 COMMAND not found, else COMMAND's own.
    """
    if not context.args:
        raise KsmrunError("no command given", "see `ksmrun run --help`", EXIT_OWN_FAILURE)
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
        layout=_layout(layout_group, seeds, layout_scope) if layout is LayoutMode.SHARED else None,
    )
    plan = _plan(request)
    if not quiet:
        for warning in plan.warnings:
            say(warning)
    if dry_run:
        # The line does not show what becomes of seeds.
        for reason in plan.reasons if request.layout is not None and not quiet else ():
            say(reason)
        sys.stdout.buffer.write(shell_line(plan) + b"\n")
        return
    exec_in_place(plan.argv, initial_environment())


def _layout(group: str, seeds: SeedMode, scope: LayoutScope) -> SharedLayout:
    # Not at the top: few launches need keys.
    from ksmrun.host.keys import group_label, keys_folder, master_key
    from ksmrun.host.layout_groups import remember_group

    folder = keys_folder()
    key, label = os.fsencode(master_key(folder)), group_label(folder, group)
    remember_group(folder, group)
    return SharedLayout(key, label, seeds, scope)


def _plan(request: Request) -> Plan:
    target = look_at(request.command[0], os.environb)
    probe = _probe()
    launcher, shim = os.fsencode(launcher_path()), shim_path(target)
    choice = choose(request, probe, target, shim)
    judgement = None
    if needs_judgement(request, probe, choice):
        # Not at the top: it brings psutil, and few launches need it.
        from ksmrun.commands.guarding import judge_target

        judgement = judge_target(request, target, adds_vmas=adds_vmas(probe, choice))
    plan = plan_launch(request, launcher, probe, target, judgement, shim)
    if isinstance(plan, Refusal):
        raise KsmrunError(f"{plan.what}; not started", plan.todo, EXIT_OWN_FAILURE)
    return plan


def _probe() -> Probe | None:
    """None where the kernel cannot be asked: the launch goes on, and the launcher finds out."""
    try:
        return cached_probe()
    except KsmrunError as error:
        if error.exit_code != EXIT_OWN_FAILURE:
            raise
        return None


def _size_bytes(text: str) -> int:
    """65536, 64K, 2M or 1G in bytes. Raises KsmrunError for anything else."""
    number, unit = (text[:-1], text[-1:].upper()) if text[-1:].isalpha() else (text, "")
    shift = {"": 0, "K": 10, "M": 20, "G": 30}.get(unit)
    if shift is None or not number.isdecimal():
        raise KsmrunError(
            f"--mark-min is a size as 65536, 64K or 2M, not {text!r}",
            "for example --mark-min=64K",
            EXIT_OWN_FAILURE,
        )
    return int(number) << shift
