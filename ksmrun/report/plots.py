"""Pictures of saved experiments, by matplotlib (the extra [ab])."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksmrun.model.quantities import PSS, Unit
from ksmrun.model.quantities import metric as described
from ksmrun.report.results import Saved, samples_of
from ksmrun.report.written import write_report
from ksmrun.support.advice import require_module
from ksmrun.support.units import MIB
from ksmrun.support.words import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Distinguishable for the colour-blind (after Okabe and Ito), on white and on black.
COLOURS = ("#999999", "#2f8fdd", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
# Legible on both backgrounds.
INK = "#7f7f7f"
# Legible when scaled to a phone's width.
SIZE_INCHES = (4.6, 2.9)
# Room above the highest value for half a point, in a picture of that size.
TOP_ROOM = 1.06
# Names are the user's: they take up to three lines.
LABEL_CHARACTERS, TICK_CHARACTERS, TICK_CHARACTERS_MIN, LINES_MAX = 32, 48, 6, 3


AXIS_UNITS = {
    **{Unit.BYTES: ", MiB", Unit.SECONDS: ", s", Unit.PER_SECOND: " a second"},
    Unit.SHARE: ", of 1",
}


def figure(rows: int) -> Figure:
    """Return an empty figure. Raises KsmrunError if matplotlib is missing."""
    require_module("matplotlib", "--png and --html need matplotlib", "ab")
    from matplotlib.figure import Figure

    width, height = SIZE_INCHES
    return Figure(figsize=(width, height * rows), layout="constrained")


def write_png(saved: Saved, file: Path) -> None:
    """Write memory over time and each arm's rounds as a PNG."""
    whole = figure(2)
    upper, lower = whole.subplots(2, 1)
    draw_memory(upper, saved)
    draw_rounds(lower, saved, str(saved.plan["primary"]))
    data = io.BytesIO()
    whole.savefig(data, format="png", dpi=150)
    write_report(file, data.getvalue(), "--png")


def svg(draw: Any, saved: Saved, *arguments: Any) -> str:
    """Return one drawing as the text of an <svg> element, without a background."""
    whole = figure(1)
    draw(whole.subplots(), saved, *arguments)
    text = io.StringIO()
    # Without a date the same results give the same file.
    whole.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2]


def draw_memory(axes: Axes, saved: Saved) -> None:
    """Draw the fleet's PSS from the start, one line per round and arm."""
    for arm, colour in zip(saved.arms, _colours(len(saved.arms)), strict=True):
        label: str | None = _wrapped(arm)
        for turn in samples_of(saved, arm):
            samples = [s for s in turn if s.get("pss_bytes") is not None]
            # After the hold the load ends.
            samples = [s for s in samples if s.get("phase") != "after"]
            if not samples:
                continue
            axes.plot(
                [s["elapsed_seconds"] for s in samples],
                [s["pss_bytes"] / MIB for s in samples],
                color=colour,
                linewidth=1.2,
                alpha=0.8,
                label=label,
            )
            label = None
    axes.set_xlabel("seconds since the start")
    axes.set_ylabel(f"{PSS.word} of the fleet{AXIS_UNITS[PSS.unit]}")
    _from_zero(axes)
    _finish(axes)


def draw_rounds(axes: Axes, saved: Saved, metric: str) -> None:
    """Draw each arm's rounds as points, joined within a round: differences show as slopes."""
    quantity = described(metric)
    is_size = quantity.unit is Unit.BYTES
    scale = MIB if is_size else 1
    positions = range(len(saved.arms))
    for number in range(saved.round_count):
        values = [saved.rounds[arm][number].get(metric) for arm in saved.arms]
        if None in values:
            continue
        axes.plot(
            list(positions), [(v or 0) / scale for v in values], color=INK, linewidth=0.8, zorder=1
        )
    for position, (arm, colour) in enumerate(
        zip(saved.arms, _colours(len(saved.arms)), strict=True)
    ):
        found = [each[metric] / scale for each in saved.rounds[arm] if metric in each]
        axes.scatter([position] * len(found), found, color=colour, zorder=2)
    width = max(TICK_CHARACTERS // len(saved.arms), TICK_CHARACTERS_MIN)
    axes.set_xticks(list(positions), [_wrapped(arm, width) for arm in saved.arms])
    axes.margins(x=0.3)
    if is_size:
        # Sizes are compared by their heights, so the axis begins at 0.
        _from_zero(axes)
    axes.set_ylabel(_wrapped(f"{quantity.word}{AXIS_UNITS.get(quantity.unit, '')}"))
    _finish(axes)


def draw_distribution(axes: Axes, saved: Saved, name: str) -> None:
    """Draw the cumulative distribution over all rounds, which shows the tails."""
    found = own_numbers(saved, name)
    for arm, colour in zip(saved.arms, _colours(len(saved.arms)), strict=True):
        if numbers := found[arm]:
            axes.ecdf(
                numbers, color=colour, linewidth=1.6, label=_wrapped(f"{arm} ({len(numbers)})")
            )
    axes.set_xlabel(_wrapped(name))
    axes.set_ylabel("share at or below")
    _finish(axes)


def own_numbers(saved: Saved, name: str) -> dict[str, list[float]]:
    """Return all values of the custom metric during the measurement, by arm.

    If a turn had none, as its load ended before, return one value per round of each arm instead:
    curves of some turns beside those of all turns would be no comparison.
    """
    turns = {arm: [_own_of(turn, name) for turn in samples_of(saved, arm)] for arm in saved.arms}
    if all(turn for each in turns.values() for turn in each):
        return {arm: [number for turn in each for number in turn] for arm, each in turns.items()}
    return {arm: [each[name] for each in saved.rounds[arm] if name in each] for arm in saved.arms}


def _own_of(samples: Sequence[dict[str, Any]], name: str) -> list[float]:
    return [number for sample in samples for number in (sample.get("own") or {}).get(name, ())]


def colour_of(saved: Saved, arm: str) -> str:
    """Return the arm's colour in every picture."""
    return _colours(len(saved.arms))[saved.arms.index(arm)]


def _colours(count: int) -> Sequence[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]


def _from_zero(axes: Axes) -> None:
    """Begin the axis at 0, with room at the top for a whole point."""
    top = axes.dataLim.ymax
    axes.set_ylim(bottom=0, top=top * TOP_ROOM if 0 < top < float("inf") else None)


def _wrapped(name: str, characters: int = LABEL_CHARACTERS) -> str:
    """Break a long name, and escape dollar signs, between which matplotlib reads a formula."""
    lines = textwrap.wrap(printable(name), characters)[:LINES_MAX]
    return "\n".join(lines).replace("$", r"\$")


def _finish(axes: Axes) -> None:
    # Where the axis names the arms, no legend is needed.
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, labelcolor=INK)
    axes.tick_params(colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(INK)
