"""Turn the results of run.sh into a Markdown table and a chart; print the table.

.venv/bin/python examples/game-fleet/table.py DIR        writes DIR/table.md and DIR/chart.png
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

GIB = 1 << 30
PREFIX = "users-"
NAMES = {"off": "not merging", "on": "merging", "shared": "merging, one layout"}
COLOURS = {"off": "#999999", "on": "#2f8fdd", "shared": "#E69F00"}
# Legible on white and on black.
INK = "#7f7f7f"


@dataclass(frozen=True)
class Load:
    """One experiment: mean of each metric over the rounds, by arm, and the differences to `off`."""

    users: int
    rounds: int
    means: dict[str, dict[str, float]]
    differences: dict[str, dict[str, dict[str, Any]]]

    def saved(self, arm: str) -> float:
        """Return the saved share of the memory without merging."""
        return 1 - self.means["pss_bytes"][arm] / self.means["pss_bytes"]["off"]

    def change(self, metric: str, arm: str) -> str:
        """Return the change in per cent, with half of its interval; empty without a load."""
        if arm not in self.differences.get(metric, {}):
            return ""
        found = self.differences[metric][arm]
        text = f"{found['share']:+.1%}"
        if found["low"] is None:
            return text
        half = (found["high"] - found["low"]) / 2 / found["base_mean"]
        return f"{text} ± {half:.1%}"


def read(folder: Path) -> Load:
    """Read one results folder of `ksmrun ab`, through `ksmrun report`."""
    ksmrun = Path(sys.executable).with_name("ksmrun")
    done = subprocess.run([ksmrun, "report", "--json", folder], check=True, stdout=subprocess.PIPE)
    report = json.loads(done.stdout)
    means: dict[str, dict[str, float]] = {}
    differences: dict[str, dict[str, dict[str, Any]]] = {}
    for verdict in report["verdicts"]:
        for found in verdict["differences"]:
            of_metric = means.setdefault(found["metric"], {})
            of_metric[verdict["base"]] = found["base_mean"]
            of_metric[verdict["arm"]] = found["arm_mean"]
            differences.setdefault(found["metric"], {})[verdict["arm"]] = found
    return Load(int(folder.name.removeprefix(PREFIX)), report["rounds"], means, differences)


def table(loads: list[Load]) -> str:
    """Return a Markdown table; memory in GiB, of all processes (PSS)."""
    columns = (
        *("users", "rounds", "", "GiB", "saved", "ksmd CPU, s"),
        *("requests/s", "p99, ms", "requests/s", "p99"),
    )
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for load in loads:
        for arm, name in NAMES.items():
            is_first = arm == "off"
            cells = [f"{load.users or 'none'}", f"{load.rounds}"] if is_first else ["", ""]
            cells += [name, f"{load.means['pss_bytes'][arm] / GIB:.2f}"]
            cells.append("" if is_first else f"**{load.saved(arm):.0%}**")
            cells.append(f"{load.means['ksmd_cpu_seconds'][arm]:.0f}")
            for metric, digits in (("throughput", 0), ("p99_ms", 1)):
                of_arm = load.means.get(metric)
                cells.append("" if of_arm is None else f"{of_arm[arm]:.{digits}f}")
            cells += [load.change("throughput", arm), load.change("p99_ms", arm)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(loads: list[Load], file: Path) -> None:
    """Draw bars of memory, three for each number of users."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(NAMES)
    for place, (arm, name) in enumerate(NAMES.items()):
        sizes = [load.means["pss_bytes"][arm] / GIB for load in loads]
        places = [number + (place - 1) * width for number in range(len(loads))]
        bars = axes.bar(places, sizes, width * 0.95, color=COLOURS[arm], label=name)
        texts = [f"{size:.1f}" for size in sizes]
        if arm != "off":
            texts = [f"-{load.saved(arm):.0%}" for load in loads]
        axes.bar_label(bars, texts, color=INK, padding=2)
    axes.set_xticks(
        range(len(loads)), [f"{load.users} users" if load.users else "idle" for load in loads]
    )
    axes.set_ylabel("memory of the fleet (PSS), GiB", color=INK)
    axes.tick_params(colors=INK)
    axes.legend(frameon=False, labelcolor=INK, loc="upper left")
    # Room for the legend.
    axes.set_ylim(0, 1.35 * max(load.means["pss_bytes"]["off"] for load in loads) / GIB)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    figure.savefig(file, dpi=150, transparent=True)


def main() -> int:
    """Write table and chart. Return the exit code."""
    folder = Path(sys.argv[1])
    found = (each.parent for each in folder.glob(f"{PREFIX}*/experiment.json"))
    loads = sorted((read(each) for each in found), key=lambda load: load.users)
    text = table(loads)
    (folder / "table.md").write_text(text)
    draw(loads, folder / "chart.png")
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
