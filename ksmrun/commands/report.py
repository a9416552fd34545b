"""`ksmrun report`: results of a saved experiment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from ksmrun.commands.declare import Registry, declare
from ksmrun.commands.output import print_json, print_line, print_note, print_table, say
from ksmrun.commands.table import Column, Style, style_of, wants_json
from ksmrun.model.errors import KsmrunError
from ksmrun.options.output import Format
from ksmrun.options.report import REPORT, ReportOptions
from ksmrun.report.conditions import facts, maps, scan_rate
from ksmrun.report.gate import EXIT_CODES, Gate, judge_gates, parse_gates, together
from ksmrun.report.pool import differing, pooled, repeated
from ksmrun.report.results import Saved, load
from ksmrun.report.statistics import Difference
from ksmrun.report.values import value_text, word_of
from ksmrun.report.verdict import ArmVerdict, judge
from ksmrun.report.warnings import warnings

SCHEMA = "ksmrun-report-1"
# Facts on which savings and costs depend.
TOLD = ("KSM scans", "KSM set to", "while measuring")


def register(registry: Registry) -> None:
    """Add the command."""
    declare(registry, REPORT, report)


def report(options: ReportOptions) -> None:
    """Print what the folders hold, and draw it."""
    experiments = [load(folder) for folder in options.folders]
    if len(experiments) > 1:
        for saved in experiments:
            for verdict in judge(saved):
                say(f"{saved.folder}: {verdict.sentence}")
        if names := differing(experiments):
            raise KsmrunError(
                f"the experiments differ in {', '.join(names)}, so their rounds cannot be pooled",
                "give folders of the same fleet and arms",
            )
        if twice := repeated(experiments):
            raise KsmrunError(
                f"{twice[0]} and {twice[1]} hold the same rounds, which would count twice",
                "give each experiment once",
            )
    saved = pooled(experiments)
    gates = parse_gates(options.gate, saved.metrics)
    code = _print(saved, gates, style_of(options), as_json=wants_json(options))
    if options.png is not None or options.html is not None:
        _draw(saved, options.png, options.html)
    if code:
        raise SystemExit(code)


def _draw(saved: Saved, png: Path | None, html: Path | None) -> None:
    # Imported here: pictures take longer to import than everything else.
    from ksmrun.report.html import write_html
    from ksmrun.report.plots import write_png

    if png is not None:
        write_png(saved, png)
    if html is not None:
        verdicts = judge(saved)
        tables = [
            (
                [column.name for column in _columns(each)],
                [_row(difference, word_of) for difference in each.differences],
            )
            for each in verdicts
        ]
        write_html(saved, verdicts, tables, warnings(saved), html)


def print_report(folder: Path, gates: Sequence[Gate] = ()) -> int:
    """Print a report, return the exit code. Raises KsmrunError if there is no complete round."""
    return _print(load(folder), gates, Style(), as_json=False)


def _print(saved: Saved, gates: Sequence[Gate], style: Style, *, as_json: bool) -> int:
    """Print a report, return the exit code: that of the gates, 0 without any."""
    verdicts = judge(saved)
    notes = warnings(saved)
    judged = judge_gates(gates, saved, verdicts)
    answer = together(judged)
    if as_json:
        print_json(
            SCHEMA,
            host=saved.host,
            plan=saved.plan,
            rounds=saved.round_count,
            verdicts=[_fields(verdict) for verdict in verdicts],
            warnings=notes,
            scan_rate=[scan_rate(host) for host in saved.hosts],
            maps=[asdict(each) for each in maps(saved)],
            gates=[asdict(each) for each in judged],
            gate_verdict=answer if judged else None,
        )
        return EXIT_CODES[answer]
    for verdict in verdicts:
        print_note(verdict.sentence, style)
    # Scripts keep the id, which --gate and --primary take too.
    names = word_of if style.format is Format.TABLE else str
    for verdict in verdicts:
        if style.format is Format.TABLE:
            print_line()
        print_table(_columns(verdict), [_row(each, names) for each in verdict.differences], style)
    if style.format is Format.TABLE:
        print_line()
    for name, value in facts(saved):
        if name in TOLD:
            print_note(f"{name}: {value}", style)
    print_note(f"maps of a process: {', '.join(each.text for each in maps(saved)) or '-'}", style)
    for what, todo in notes:
        print_note(f"{what}; to do: {todo}", style)
    for result in judged:
        print_note(result.line, style)
    return EXIT_CODES[answer]


def _columns(verdict: ArmVerdict) -> list[Column]:
    return [
        Column("metric", "name"),
        Column(verdict.base, "right", 1),
        Column(verdict.arm, "right", 2),
        Column("difference", "right"),
        Column("95 % interval", "fold"),
        Column("certain", "left"),
    ]


def _fields(verdict: ArmVerdict) -> dict[str, object]:
    differences = [
        {**asdict(each), "share": each.share, "is_certain": each.is_certain}
        for each in verdict.differences
    ]
    return {**asdict(verdict), "sentence": verdict.sentence, "differences": differences}


def _row(each: Difference, name: Callable[[str], str]) -> list[str]:
    interval = "-"
    if each.low is not None and each.high is not None:
        interval = f"{value_text(each.metric, each.low)} to {value_text(each.metric, each.high)}"
    return [
        name(each.metric),
        value_text(each.metric, each.base_mean),
        value_text(each.metric, each.arm_mean),
        value_text(each.metric, each.mean),
        interval,
        "yes" if each.is_certain else "-",
    ]
