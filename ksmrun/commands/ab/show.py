"""Output of `ksmrun ab` while it works: the plan, a bar for each phase, a line for each turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ksmrun.commands.output import say
from ksmrun.experiment.experiment import expected_seconds, run_experiment
from ksmrun.model.experiment import ArmResult, ExperimentPlan
from ksmrun.report.values import value_text, word_of


def announce(plan: ExperimentPlan, folder: Path) -> None:
    """Print what will be done, before anything starts."""
    minutes = expected_seconds(plan) / 60
    names = ", ".join(each.name for each in plan.arms)
    rounds = "1 round" if plan.rounds == 1 else f"{plan.rounds} rounds"
    say(
        f"{rounds} of {len(plan.arms)} arms ({names}), {plan.copies} copies each: at least "
        f"{minutes:.1f} minutes, plus the time until copies are ready and merging has settled; "
        f"results go to {folder}"
    )


def run_shown(plan: ExperimentPlan, folder: Path, scratch: Path) -> None:
    """Run the experiment, with a bar for each phase and a line for each turn.

    Raises KsmrunError.
    """
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("", total=1.0)

        def progress_of(number: int, arm: str) -> Any:
            def progress(phase: str, share: float | None) -> None:
                text = f"round {number} of {plan.rounds}, {arm}: {phase}"
                bars.update(task, description=text, total=None if share is None else 1.0)
                bars.update(task, completed=share or 0.0)

            return progress

        def finished(result: ArmResult) -> None:
            value = result.metrics.get(plan.primary)
            shown = "-" if value is None else value_text(plan.primary, value)
            say(f"round {result.round}, {result.arm}: {word_of(plan.primary)} {shown}")
            for what, todo in result.warnings:
                say(f"round {result.round}, {result.arm}: {what}; to do: {todo}")

        run_experiment(plan, folder, scratch, progress_of, finished)
