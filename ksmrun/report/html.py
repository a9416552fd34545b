"""An experiment as one HTML file without outside resources, by Jinja (the extra [ab])."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ksmrun.model import KsmrunError
from ksmrun.report.load import Saved
from ksmrun.report.plots import draw_memory, draw_rounds, svg
from ksmrun.report.verdict import ArmVerdict

TEMPLATE = Path(__file__).with_name("report.html.jinja")


def write_html(
    saved: Saved,
    verdicts: Sequence[ArmVerdict],
    tables: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]],
    warnings: Sequence[tuple[str, str]],
    file: Path,
) -> None:
    """tables: for each verdict the heads and rows, as the terminal shows them."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise KsmrunError("--html needs Jinja", "pip install 'ksmrun[ab]'") from error
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    names = [str(metric["name"]) for metric in saved.plan["metrics"]]
    shown = [str(saved.plan["primary"]), *names, "maps_max"]
    text = template.render(
        sentences=[verdict.sentence for verdict in verdicts],
        memory=svg(draw_memory, saved),
        rounds=[(name, svg(draw_rounds, saved, name)) for name in dict.fromkeys(shown)],
        tables=tables,
        warnings=warnings,
        facts=_facts(saved),
        commands=_commands(saved.plan),
    )
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise KsmrunError(f"{file}: {error.strerror}", "name a file that can be written") from error


def _facts(saved: Saved) -> list[tuple[str, str]]:
    host, plan = saved.host, saved.plan
    gib = int(host["mem_total_bytes"] or 0) / (1 << 30)
    return [
        ("copies", str(plan["copies"])),
        ("whole rounds", f"{saved.round_count} of {plan['rounds']}"),
        ("started", str(host["started"])),
        ("kernel", str(host["kernel"])),
        ("host", f"{host['cpus']} CPUs, {gib:.0f} GiB"),
        ("huge pages", str(host["thp_enabled"])),
        ("limit of maps", str(host["max_map_count"])),
        (
            "KSM for the experiment",
            " ".join(f"{k}={v}" for k, v in plan["tunables"].items()) or "-",
        ),
        ("ksmrun", str(host["ksmrun"])),
    ]


def _commands(plan: dict[str, Any]) -> list[tuple[str, str]]:
    commands = [
        (
            f"arm {arm['name']}",
            shlex.join(["ksmrun", "run", *arm["options"], "--", *plan["command"]]),
        )
        for arm in plan["arms"]
    ]
    for name in ("load", "fleet_load"):
        if plan[name]:
            commands.append((name.replace("_", " "), str(plan[name])))
    return commands
