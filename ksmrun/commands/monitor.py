"""`ksmrun monitor`: watch all that merges on this host."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import typer

from ksmrun.commands.declare import Given, declare
from ksmrun.commands.output import print_file, say, sudo_line
from ksmrun.facts.ksm import require_ksm
from ksmrun.facts.pids import require_proc
from ksmrun.model.errors import EXIT_USAGE, KsmrunError
from ksmrun.options.item import Values, items
from ksmrun.options.monitor import MONITOR, MonitorKeys, MonitorOptions
from ksmrun.support.paste import own_program
from ksmrun.watch.config import Config, load
from ksmrun.watch.monitor import watch
from ksmrun.wrap.monitor_unit import LISTEN, render

UNIT = "ksmrun-monitor.service"


def register(app: typer.Typer) -> None:
    """Add the command."""
    declare(app, MONITOR, monitor)


def monitor(options: MonitorOptions, given: Given) -> None:
    """Watch until SIGTERM, or print the unit."""
    keys = {item.attribute for item in items(MonitorKeys)}
    values = {name: value for name, value in given.values.items() if name in keys}
    if options.print_unit:
        # Its commands may be for another host; an address is one anywhere, or nowhere.
        _ = Config(**values).address
        _ = Config(**values).thread
        text = resources.files("ksmrun.watch").joinpath(UNIT).read_text(encoding="utf-8")
        words = _unit_words(given)
        has_client = find_spec("prometheus_client") is not None
        print_file(render(text, own_program(), words, listen=LISTEN if has_client else None))
        if not has_client:
            say(_without_client(words))
        return
    require_ksm(exit_code=EXIT_USAGE)
    require_proc()
    if not Path("/proc/self/ksm_stat").exists():
        raise KsmrunError(
            "/proc/PID/ksm_stat does not exist",
            "boot Linux 6.1 or later with CONFIG_KSM=y",
            EXIT_USAGE,
        )
    if os.geteuid() != 0:
        say(f"without root only this user's processes are watched; to do: {sudo_line(['monitor'])}")
    watch(functools.partial(load, options.config, values))


def _without_client(words: Mapping[str, str | bool]) -> str:
    todo = "pip install 'ksmrun[monitor]'"
    if words.keys() & {"listen", "textfile"}:
        return f"this unit does not start yet: metrics need prometheus-client; first run: {todo}"
    return (
        "this unit serves no metrics, as prometheus-client is not installed; to do: "
        f"{todo}, and print it again"
    )


def _unit_words(given: Given) -> dict[str, str | bool]:
    """Return the options as typed, with absolute paths: systemd starts it in another folder."""
    paths = {
        item.name.removeprefix("--")
        for item in items(MonitorOptions)
        if item.values in (Values.FILE, Values.FOLDER)
    }
    return {
        name: str(Path(word).absolute()) if name in paths and isinstance(word, str) else word
        for name, word in given.words.items()
        if name != "print-unit"
    }
