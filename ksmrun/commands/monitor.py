"""`ksmrun monitor`: watches all that merges on this host."""

from __future__ import annotations

import functools
import os
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from ksmrun.commands.numbers import number
from ksmrun.commands.output import own_program, parse_share, print_file, say, sudo_line
from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.model import KsmrunError
from ksmrun.watch.config import DEFAULT_FILE, RANGES, load
from ksmrun.watch.monitor import watch
from ksmrun.wrap.monitor_unit import render

EPILOG = "Example: sudo ksmrun monitor --listen 127.0.0.1:9739"
UNIT = "ksmrun-monitor.service"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("monitor", epilog=EPILOG)(monitor)


def monitor(
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Prometheus metrics there. Needs ksmrun[monitor]."),
    ] = None,
    textfile: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="The same as a file for node_exporter's textfile."),
    ] = None,
    on_alert: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="For each alert that begins or ends; the facts are in KSMRUN_ALERT_KIND, _STATE, "
            "_SUBJECT, _MESSAGE, _TODO, _PID, _VALUE, _LIMIT. No shell.",
        ),
    ] = None,
    raise_map_count_to: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=number(RANGES["raise_map_count_to"]),
            help="May raise vm.max_map_count up to this where a process comes near it.",
        ),
    ] = None,
    map_reserve: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Of the map limit, to be kept free. Default: 20%."),
    ] = None,
    warn_ahead: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            parser=number(RANGES["warn_ahead_seconds"]),
            help="Before a process hits the limit. Default: 1800.",
        ),
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            parser=number(RANGES["interval_seconds"]),
            help="Between samples. Default: 15.",
        ),
    ] = None,
    pss_interval: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            parser=number(RANGES["pss_interval_seconds"]),
            help="Between looks at PSS. Default: 60.",
        ),
    ] = None,
    cow_breaks: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            parser=number(RANGES["cow_breaks_per_second"]),
            help="Copied back a second: a surge. Default: 5000.",
        ),
    ] = None,
    by_pid: Annotated[
        bool | None, typer.Option("--by-pid", help="A line of metrics for each process.")
    ] = None,
    deep: Annotated[
        bool | None,
        typer.Option("--deep", help="Before 6.14: find by smaps what ksmd has not reached yet."),
    ] = None,
    auto: Annotated[
        bool | None,
        typer.Option(
            "--auto",
            help="Set ksmd's rate: fast while what starts or grows can merge, else next to none.",
        ),
    ] = None,
    max_cpu: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="With --auto: of one core, for ksmd. Default: 70%."),
    ] = None,
    follow: Annotated[
        bool | None,
        typer.Option(
            "--follow", help="Before 6.4: mark also what attached programs have mapped since."
        ),
    ] = None,
    log: Annotated[
        str | None, typer.Option(metavar="plain|json", help="The form of log lines.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"TOML with the same words under [monitor]; SIGHUP reads it again. "
            f"Default: {DEFAULT_FILE}.",
        ),
    ] = None,
    print_unit: Annotated[
        bool, typer.Option("--print-unit", help="Print a systemd unit, and do nothing.")
    ] = False,
) -> None:
    """Watch all that merges. Map limits, ksmd, memory; with alerts and metrics.

    One for the host. Without root only one's own processes are seen. SIGTERM ends it.
    """
    options = {
        "listen": listen,
        "textfile": textfile,
        "on_alert": on_alert,
        "raise_map_count_to": None if raise_map_count_to is None else int(raise_map_count_to),
        "map_reserve": None
        if map_reserve is None
        else parse_share("--map-reserve", map_reserve, below_all=True),
        "warn_ahead_seconds": warn_ahead,
        "interval_seconds": interval,
        "pss_interval_seconds": pss_interval,
        "cow_breaks_per_second": cow_breaks,
        "by_pid": by_pid,
        "deep": deep,
        "auto": auto,
        "auto_max_cpu": None if max_cpu is None else parse_share("--max-cpu", max_cpu),
        "follow": follow,
        "log": log,
    }
    if print_unit:
        given = {
            "listen": listen,
            # systemd starts it in another folder.
            "textfile": None if textfile is None else str(Path(textfile).absolute()),
            "on-alert": on_alert,
            "raise-map-count-to": options["raise_map_count_to"],
            "map-reserve": map_reserve,
            "warn-ahead": warn_ahead,
            "interval": interval,
            "pss-interval": pss_interval,
            "cow-breaks": cow_breaks,
            "by-pid": by_pid,
            "deep": deep,
            "auto": auto,
            "max-cpu": max_cpu,
            "follow": follow,
            "log": log,
            "config": None if config is None else str(config.absolute()),
        }
        text = resources.files("ksmrun.watch").joinpath(UNIT).read_text(encoding="utf-8")
        words = {
            name: value if isinstance(value, bool) else str(value)
            for name, value in given.items()
            if value is not None
        }
        print_file(render(text, own_program(), words))
        return
    if not read_ksm(ROOT).present:
        raise KsmrunError(
            "/sys/kernel/mm/ksm is not there: no KSM in this kernel, or /sys is not mounted",
            "mount /sys, or boot a kernel with CONFIG_KSM=y",
        )
    if not Path("/proc/self/ksm_stat").exists():
        raise KsmrunError("/proc/PID/ksm_stat is not there", "boot 6.1 or later")
    if os.geteuid() != 0:
        say(f"only this user's processes are watched; to do: {sudo_line(['monitor'])}")
    watch(functools.partial(load, config, options))
