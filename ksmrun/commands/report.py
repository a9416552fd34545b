"""`ksmrun report`: results of a saved experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from ksmrun.commands.declare import declare
from ksmrun.commands.output import print_json, print_line, print_table, say
from ksmrun.model import KsmrunError
from ksmrun.options.report import REPORT, ReportOptions
from ksmrun.report.gate import EXIT_CODES, Gate, judge_gates, parse_gates, together
from ksmrun.report.load import Saved, load
from ksmrun.report.pool import differing, pooled
from ksmrun.report.setting import facts, maps, scan_rate
from ksmrun.report.statistics import Difference
from ksmrun.report.verdict import ArmVerdict, judge, size_text
from ksmrun.report.warnings import warnings

SCHEMA = "ksmrun-report-1"
# Facts on which savings and costs depend.
TOLD = ("KSM scans", "KSM set to", "while measuring")


def register(app: typer.Typer) -> None:
    """Add the command."""
    declare(app, REPORT, report)


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
    saved = pooled(experiments)
    gates = parse_gates(options.gate, saved.metrics)
    code = _print(saved, gates, as_json=options.as_json)
    if options.png is not None or options.html is not None:
        _draw(saved, options.png, options.html)
    if code:
        raise typer.Exit(code)


def _draw(saved: Saved, png: Path | None, html: Path | None) -> None:
    # Imported here: pictures take longer to import than everything else.
    from ksmrun.report.html import write_html
    from ksmrun.report.plots import write_png

    if png is not None:
        write_png(saved, png)
    if html is not None:
        verdicts = judge(saved)
        tables = [
            (list(_columns(each)), [_row(difference) for difference in each.differences])
            for each in verdicts
        ]
        write_html(saved, verdicts, tables, warnings(saved), html)


def print_report(folder: Path, gates: Sequence[Gate] = ()) -> int:
    """Print a report, return the exit code. Raises KsmrunError if there is no complete round."""
    return _print(load(folder), gates, as_json=False)


def _print(saved: Saved, gates: Sequence[Gate], *, as_json: bool) -> int:
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
        print_line(verdict.sentence)
    for verdict in verdicts:
        print_line()
        print_table(_columns(verdict), [_row(each) for each in verdict.differences])
    print_line()
    for name, value in facts(saved):
        if name in TOLD:
            print_line(f"{name}: {value}")
    print_line(f"maps of a process: {', '.join(each.text for each in maps(saved)) or '-'}")
    for what, todo in notes:
        print_line(f"{what}; to do: {todo}")
    for result in judged:
        print_line(result.line)
    return EXIT_CODES[answer]


def _columns(verdict: ArmVerdict) -> dict[str, str]:
    columns = {"metric": "left", verdict.base: "right", verdict.arm: "right"}
    return columns | {"difference": "right", "95 % interval": "right", "certain": "left"}


def _fields(verdict: ArmVerdict) -> dict[str, object]:
    differences = [
        {**asdict(each), "share": each.share, "is_certain": each.is_certain}
        for each in verdict.differences
    ]
    return {**asdict(verdict), "sentence": verdict.sentence, "differences": differences}


def _row(each: Difference) -> list[str]:
    interval = "-"
    if each.low is not None and each.high is not None:
        interval = f"{_value(each.metric, each.low)} to {_value(each.metric, each.high)}"
    return [
        each.metric,
        _value(each.metric, each.base_mean),
        _value(each.metric, each.arm_mean),
        _value(each.metric, each.mean),
        interval,
        "yes" if each.is_certain else "-",
    ]


def _value(metric: str, value: float) -> str:
    if metric.endswith("_bytes"):
        return size_text(value)
    return f"{value:.1%}" if metric.endswith("_share") else f"{value:.4g}"
