"""Draw what tuning.py saved: merged memory and ksmd's CPU over time. Reads the JSON only.

.venv/bin/python tests/bench/tuning_chart.py tuning.json tuning.png
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from tuning import MIB, Result, loaded

WIDTH_INCHES, HEIGHT_INCHES, DOTS_PER_INCH = 8.0, 5.0, 100
GREY = "#555555"
COLOURS = {
    "auto": "#1f4e8c",
    "fixed": "#c0504d",
    "advisor": "#e0a030",
    "ksmtuned": "#7f7f7f",
    "defaults": "#b0b0b0",
}
LABELS = {
    "auto": "ksmrun monitor --auto",
    "fixed": "5,000 pages a batch, always",
    "advisor": "the kernel's advisor",
    "ksmtuned": "ksmtuned's rule",
    "defaults": "the kernel's defaults",
}


def draw(results: Sequence[Result]) -> Figure:
    """Draw merged memory above ksmd's CPU time, on a logarithmic time axis."""
    figure = Figure((WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
    merged, cpu = figure.subplots(2, 1, sharex=True)
    for result in results:
        points = [*result.points["merging"], *result.points["rest"]]
        # A logarithmic axis has no zero.
        seconds = [max(point.seconds, 1.0) for point in points]
        style = {"color": COLOURS[result.way], "label": LABELS[result.way]}
        merged.plot(seconds, [point.merged_bytes / MIB / 1024 for point in points], **style)
        cpu.plot(seconds, [point.ksmd_cpu_seconds for point in points], **style)
    processes = results[0].processes
    merged.set_title(f"{processes} processes are ready: merged, GiB", loc="left")
    cpu.set_title("ksmd's CPU since the first of them was started, seconds", loc="left")
    cpu.set_xlabel("seconds since the last was ready")
    for axes in (merged, cpu):
        axes.set_xscale("log")
        axes.set_xlim(left=1)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=GREY)
    handles, labels = merged.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3, frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    draw(loaded(arguments.results)).savefig(arguments.picture, dpi=DOTS_PER_INCH)


if __name__ == "__main__":
    main()
