"""`ksmrun top`: a live view of what merges."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict

from ksmrun.commands.declare import Registry, declare
from ksmrun.commands.output import print_json, print_line
from ksmrun.commands.ps import process_fields, unseen
from ksmrun.commands.table import terminal_columns
from ksmrun.commands.top.frame import View, header, lines, status
from ksmrun.facts.host import read_host
from ksmrun.model.errors import KsmrunError
from ksmrun.observe.processes import ProcessWatch
from ksmrun.observe.scan_rate import HostWatch
from ksmrun.options.ps import TOP, TopOptions

SCHEMA = "ksmrun-top-1"
# Between the two observations of --once, over which ksmd's share of a core is measured.
ONCE_SECONDS = 1.0


def register(registry: Registry) -> None:
    """Add the command."""
    declare(registry, TOP, top)


def top(options: TopOptions) -> None:
    """Show the screen, or one frame of it."""
    view = View(options.by, options.sort, options.text)
    if options.once or options.as_json:
        _once(view, as_json=options.as_json)
        return
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise KsmrunError(
            "`top` needs a terminal, and this is not one",
            "use `ksmrun top --once`, or `ksmrun ps --watch 5`",
        )
    try:
        from ksmrun.commands.top.screen import Top
    except ModuleNotFoundError as error:
        # Any other missing module would be our own fault.
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise KsmrunError(
            "the screen of `top` needs Textual, which is not installed",
            "run: pip install 'ksmrun[top]', or use `ksmrun top --once`",
        ) from error
    # If these are exported (readline does so), they would be used after a resize too.
    for name in ("LINES", "COLUMNS"):
        os.environ.pop(name, None)
    Top(view, options.interval_seconds).run()


def _once(view: View, *, as_json: bool) -> None:
    watch, processes = HostWatch(), ProcessWatch()
    watch.look(read_host())
    time.sleep(ONCE_SECONDS)
    facts = read_host()
    host, found = watch.look(facts), processes.look(facts)
    if as_json:
        shown = [process for row in view.rows(found) for process in row.processes]
        fields = [process_fields(process, found.max_map_count) for process in shown]
        print_json(SCHEMA, host=asdict(host), processes=fields, unreadable=found.unreadable)
        return
    width = terminal_columns()
    head = [*header(watch, host, found, width), status(view, [], found, width), ""]
    for line in (*head, *lines(view, found, width)):
        print_line(line.rstrip())
    for line in unseen(found):
        print_line(line)
