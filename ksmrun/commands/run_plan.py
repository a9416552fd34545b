"""Plan of `ksmrun run`. Whatever fails here, the program starts, unless --require is given."""

from __future__ import annotations

import contextlib
import functools
import os
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from ksmrun.commands.output import say
from ksmrun.facts.launcher import cached_probe, launcher_path, shim_path
from ksmrun.facts.target import look_at
from ksmrun.launch.inplace import exec_by_path, exec_in_place, initial_environment
from ksmrun.launch.prepare import prepare
from ksmrun.model.errors import EXIT_OWN_FAILURE, KsmrunError
from ksmrun.model.launch import (
    LayoutMode,
    Plan,
    Probe,
    Refusal,
    Request,
    RuntimeFlags,
    SharedLayout,
)
from ksmrun.options.launch import LaunchOptions
from ksmrun.plan.domain import asks_domain
from ksmrun.plan.launch import NO_VARIABLES, merges_only_if_planned, plain_options

if TYPE_CHECKING:
    from ksmrun.host.layout_keys import MadeKey

TODO = "check the limits (ulimit -a), that /proc is mounted, and the permissions of that path"


def plan_run(request: Request, options: LaunchOptions, *, claims: bool = True) -> Plan:
    """Return the plan, or a minimal one if planning fails; its warnings say what is lost.

    claims: root makes the trust domain the one that may merge. Raises KsmrunError if the request
    refuses to start the program without it.
    """
    warnings: tuple[str, ...] = ()
    if request.domain is not None:
        # Imported here: few launches name a domain.
        from ksmrun.launch.domain import check_domain

        check_domain(request.domain)
    if options.layout is LayoutMode.SHARED:
        layout, warnings = _layout(options)
        request = replace(request, layout=layout)
    try:
        plan = _plan(request, claims=claims)
    # Not only known errors: no fault of ours is a reason not to start the program.
    except Exception as error:  # noqa: BLE001
        plan = _plain_plan(request, error)
    if isinstance(plan, Refusal):
        raise KsmrunError(
            f"{plan.what}; not started because of {plan.option}", plan.todo, EXIT_OWN_FAILURE
        )
    return replace(plan, warnings=(*warnings, *plan.warnings))


def start(plan: Plan, request: Request) -> NoReturn:
    """Become ksmrun-exec, or if that is impossible, the program. Raises KsmrunError."""
    environment = initial_environment()
    _save(plan, request)
    try:
        if plan.argv != request.command:
            exec_in_place(plan.argv, environment)
    except KsmrunError as error:
        if request.require:
            raise
        if not request.quiet:
            say(f"memory will not merge: {error.what}; {_anyway(error.todo)}")
    exec_by_path(request.command, environment)


def _save(plan: Plan, request: Request) -> None:
    """Save the plan for the next launches, best effort."""
    # Imported here: an import that fails is no reason not to start the program.
    with contextlib.suppress(Exception):
        from ksmrun.launch.plan_cache import save_plan

        save_plan(plan, request, _probe())


def _layout(options: LaunchOptions) -> tuple[SharedLayout | None, tuple[str, ...]]:
    # Imported here: few launches need keys.
    from ksmrun.host.layout_groups import remember_group
    from ksmrun.host.layout_keys import check_group, group_label, keys_folder, make_master_key

    check_group(options.layout_group)
    try:
        folder = keys_folder()
        made = make_master_key(folder)
        label = group_label(folder, options.layout_group)
        remember_group(folder, options.layout_group)
    except (KsmrunError, OSError, ValueError, MemoryError) as error:
        what, todo = _explained(error)
        if options.require:
            raise KsmrunError(
                f"shared layout not applied: {what}; not started because of --require",
                todo,
                EXIT_OWN_FAILURE,
            ) from error
        lost = f"shared layout not applied: {what}"
        return None, (f"{lost}; {_anyway(todo)}",)
    return options.shared(os.fsencode(made.file), label), _how_long(made)


def _how_long(made: MadeKey) -> tuple[str, ...]:
    """Warn of a key that was lost, and of one that will be for a user without lingering."""
    if made.replaces:
        return (
            f"the layout key in {made.file.parent} was deleted since boot, and there is another "
            "now: what runs already has other addresses than what starts from now on; to do: start "
            "the programs of the group again, together",
        )
    if not made.ends_with_login:
        return ()
    return (
        f"the layout key in {made.file.parent} is new, and is deleted when this "
        "user's last session ends: copies that are started after that get another "
        "layout; to do: run `loginctl enable-linger`, or set KSMRUN_LAYOUT_DIR to a "
        "folder of mode 0700",
    )


def _plan(request: Request, *, claims: bool) -> Plan | Refusal:
    target = look_at(request.command[0], os.environb, request.command[1:])
    launcher, shim = os.fsencode(launcher_path()), shim_path()
    variables = NO_VARIABLES
    if request.runtime_flags is not RuntimeFlags.OFF:
        # Imported here: few launches need it.
        from ksmrun.launch.runtime_variables import variables_now

        variables = variables_now(request, target)
    denied = None
    if request.domain is not None and asks_domain(request):
        from ksmrun.launch.domain import refused

        denied = refused(request.domain, target, claims=claims)
    prepared = prepare(request, launcher, _probe(), target, shim, variables, denied)
    for note in prepared.notes:
        say(note)
    return prepared.plan


@functools.cache
def _probe() -> Probe | None:
    """Return the probe; None if it fails: the launch goes on, and the launcher finds out."""
    try:
        return cached_probe()
    except (KsmrunError, OSError, ValueError):
        return None


def _plain_plan(request: Request, error: Exception) -> Plan | Refusal:
    """Return a launcher command that needs no planning, or the program if there is no launcher."""
    what, todo = _explained(error)
    if request.require:
        return Refusal(what, todo)
    try:
        launcher = os.fsencode(launcher_path())
    except (KsmrunError, OSError):
        lost = f"memory will not merge: {what}; {_anyway(todo)}"
        return Plan(None, request.command, (), (lost,))
    used = "it does not merge" if merges_only_if_planned(request) else "defaults are used"
    lost = f"the launch could not be planned, so {used}: {what}; {_anyway(todo)}"
    argv = (launcher, *plain_options(request), b"--", *request.command)
    return Plan(None, argv, (), (lost,))


def _explained(error: Exception) -> tuple[str, str]:
    """Return what happened, and what to do."""
    if isinstance(error, KsmrunError):
        return error.what, error.todo
    if isinstance(error, OSError):
        return f"{error.filename or 'a system call'}: {error.strerror}", TODO
    if isinstance(error, MemoryError):
        return "out of memory", "raise the limits (ulimit -v and -d)"
    return f"{type(error).__name__}: {error}", TODO


def _anyway(todo: str) -> str:
    return f"the program starts anyway; to do: {todo}"
