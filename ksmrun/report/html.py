"""Experiment as one HTML file without external resources, by Jinja (the extra [ab])."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ksmrun.report.conditions import commands, facts, maps
from ksmrun.report.plots import (
    colour_of,
    draw_distribution,
    draw_memory,
    draw_rounds,
    own_numbers,
    svg,
)
from ksmrun.report.results import Saved
from ksmrun.report.values import word_of
from ksmrun.report.verdict import ArmVerdict
from ksmrun.report.written import write_report
from ksmrun.support.advice import require_module

TEMPLATE = Path(__file__).with_name("report.html.jinja")


def write_html(
    saved: Saved,
    verdicts: Sequence[ArmVerdict],
    tables: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]],
    warnings: Sequence[tuple[str, str]],
    file: Path,
) -> None:
    """Write the file. tables: headings and rows for each verdict, as the terminal shows them."""
    require_module("jinja2", "--html needs Jinja", "ab")
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    text = template.render(
        title=" · ".join(verdict.headline for verdict in verdicts),
        verdicts=[
            (each.headline, each.details.lstrip(",; "), colour_of(saved, each.arm))
            for each in verdicts
        ],
        pictures=_pictures(saved),
        maps=maps(saved),
        tables=tables,
        warnings=warnings,
        facts=facts(saved),
        commands=commands(saved.plan),
    )
    write_report(file, text.encode(errors="backslashreplace"), "--html")


def _pictures(saved: Saved) -> list[tuple[str, str]]:
    """Return (title, svg) of memory, of the deciding metric, and of the custom metrics."""
    primary = str(saved.plan["primary"])
    pictures = [
        ("Memory over time", svg(draw_memory, saved)),
        (f"{word_of(primary)}, round by round", svg(draw_rounds, saved, primary)),
    ]
    for metric in saved.plan["metrics"]:
        name = str(metric["name"])
        if name != primary:
            pictures.append((f"{name}, round by round", svg(draw_rounds, saved, name)))
        numbers = {number for each in own_numbers(saved, name).values() for number in each}
        # One number needs no picture.
        if len(numbers) > 1:
            pictures.append((f"{name}, distribution", svg(draw_distribution, saved, name)))
    return pictures
