"""`ksmrun run`: plan a launch, and become ksmrun-exec."""

from __future__ import annotations

import sys
from dataclasses import replace

from ksmrun.commands.client import asked_daemon
from ksmrun.commands.declare import Given, Registry, declare
from ksmrun.commands.output import say
from ksmrun.commands.run_plan import plan_run, start
from ksmrun.launch.inplace import initial_arguments
from ksmrun.model.errors import EXIT_OWN_FAILURE, KsmrunError
from ksmrun.model.launch import LayoutMode, MergeMode, Request
from ksmrun.options.launch import RUN, RunOptions
from ksmrun.plan.launch import shell_line


def register(registry: Registry) -> None:
    """Add the command. What follows the options is the program's, whatever it looks like."""
    declare(registry, RUN, run)


def run(options: RunOptions, given: Given) -> None:
    """Plan the launch, and become the program."""
    if not given.rest:
        raise KsmrunError("no command given", "see `ksmrun run --help`", EXIT_OWN_FAILURE)
    wants_layout = options.layout is LayoutMode.SHARED
    request = options.request(initial_arguments(len(given.rest)))
    request = _without_client(request, wants_layout)
    plan = plan_run(request, options, claims=not options.dry_run)
    if not options.quiet:
        for line in (*plan.said, *plan.warnings):
            say(line)
    if options.dry_run:
        # The line does not show what becomes of seeds.
        for reason in plan.reasons if wants_layout and not options.quiet else ():
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
        verified = ", so --verify has nothing to check" if request.verify else ""
        say(f"{client.found}{verified}; to do: {client.way}")
    return replace(request, verify=False)
