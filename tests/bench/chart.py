"""Draw what runtimes.py saved: the share of memory saved, without and with one address layout.

Reads the JSON only.

.venv/bin/python tests/bench/chart.py runtimes.json runtimes.png
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

WIDTH_INCHES, ROW_INCHES, HEAD_INCHES, DOTS_PER_INCH = 8.0, 0.36, 1.1, 100
BAR = 0.38
PLAIN, SHARED, GREY = "#9db7d5", "#1f4e8c", "#555555"


def saved(program: dict[str, Any], arm: str) -> float:
    """Return the saved percentage of the anonymous PSS without merging; of repeats the median."""
    off, merged = (
        statistics.median(run["anonymous_pss_bytes"] for run in program["arms"][name])
        for name in ("off", arm)
    )
    return 100 * (1 - float(merged / off))


def draw(results: dict[str, Any]) -> Figure:
    """Draw two bars per program, best at the top, and a line where all copies would be one."""
    programs: dict[str, Any] = results["programs"]
    names = sorted(programs, key=lambda name: saved(programs[name], "shared"))
    figure = Figure((WIDTH_INCHES, HEAD_INCHES + ROW_INCHES * len(names)), layout="constrained")
    axes = figure.subplots()
    for arm, shift, colour, label in (
        ("plain", -BAR / 2, PLAIN, "merging alone"),
        ("shared", BAR / 2, SHARED, "merging and one address layout"),
    ):
        values = [max(0.0, saved(programs[name], arm)) for name in names]
        places = [row + shift for row in range(len(names))]
        axes.barh(places, values, height=BAR, color=colour, label=label)
        for place, value in zip(places, values, strict=True):
            axes.text(value + 0.8, place, f"{value:.0f}", va="center", color=GREY, fontsize=8)
    copies = {program["copies"] for program in programs.values()}
    if len(copies) == 1:
        count = copies.pop()
        ideal = 100 * (1 - 1 / count)
        axes.axvline(ideal, color=GREY, linewidth=0.8, linestyle=":")
        axes.set_title(
            f"Anonymous memory saved, {count} copies of each program, per cent", loc="left"
        )
        note = f"{count} equal\ncopies: {ideal:.1f}"
        axes.text(ideal + 0.8, -0.9, note, fontsize=8, color=GREY, va="bottom")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, 105)
    axes.set_ylim(-1, len(names) - 0.4)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower left", ncols=2, frameon=False)
    return figure


def main() -> None:
    """Write the PNG."""
    parser = argparse.ArgumentParser(description="Draw a saved result of runtimes.py.")
    parser.add_argument("results", type=Path)
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    figure = draw(json.loads(arguments.results.read_text()))
    figure.savefig(arguments.picture, dpi=DOTS_PER_INCH, metadata={"Software": None})


if __name__ == "__main__":
    main()
