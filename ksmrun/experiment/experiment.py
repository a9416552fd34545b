"""Complete experiment: every arm in every round, each result saved at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ksmrun.experiment.order import turns
from ksmrun.experiment.store import is_done, save_result
from ksmrun.experiment.turn import take_turn
from ksmrun.experiment.turn_run import Progress
from ksmrun.model.experiment import ArmResult, ExperimentPlan


def expected_seconds(plan: ExperimentPlan) -> float:
    """Return the expected time, without getting ready and converging, which cannot be predicted."""
    one = plan.stagger_seconds * (plan.copies - 1) + plan.warm_up_seconds + plan.hold_seconds
    return one * plan.rounds * len(plan.arms)


def run_experiment(
    plan: ExperimentPlan,
    folder: Path,
    scratch: Path,
    progress_of: Callable[[int, str], Progress],
    finished: Callable[[ArmResult], None],
) -> None:
    """Run the turns that have no result yet; copies get their folders in scratch.

    Raises KsmrunError if a turn fails.
    """
    arms = {arm.name: arm for arm in plan.arms}
    for number, order in enumerate(turns(list(arms), plan.rounds), start=1):
        for name in order:
            if is_done(folder, number, name):
                continue
            result = take_turn(plan, arms[name], number, folder, scratch, progress_of(number, name))
            save_result(folder, result)
            finished(result)
