"""Prepare a launch: how the program would merge here, whether the map limit allows it, the plan."""

from __future__ import annotations

from ksmrun.model.frozen import dataclass
from ksmrun.model.launch import Plan, Probe, Refusal, Request, TargetFacts
from ksmrun.model.runtime import RuntimeVariables
from ksmrun.plan.domain import Denial, denial
from ksmrun.plan.guard import Judgement
from ksmrun.plan.launch import NO_VARIABLES, needs_judgement, plan_launch
from ksmrun.plan.mechanism import Choice, adds_vmas, choose


@dataclass(frozen=True)
class Prepared:
    """Plan of a launch, and what it follows from.

    judgement: on the map limit; None where the limit does not matter. notes: for the user. denied:
    why its trust domain may not merge.
    """

    choice: Choice
    judgement: Judgement | None
    plan: Plan | Refusal
    notes: tuple[str, ...]
    denied: Denial | None = None


def prepare(
    request: Request,
    launcher: bytes,
    probe: Probe | None,
    target: TargetFacts,
    shim: bytes | None,
    variables: RuntimeVariables = NO_VARIABLES,
    refused: Denial | None = None,
) -> Prepared:
    """Return the plan of a launch on this host.

    probe is None if the kernel could not be probed, shim if its path cannot be preloaded.
    variables: flags for the program's runtime. refused: why its trust domain may not merge now.
    """
    choice = choose(request, probe, target, shim)
    denied = denial(request, probe, choice, refused)
    judgement: Judgement | None = None
    notes: tuple[str, ...] = ()
    if needs_judgement(request, probe, choice):
        judgement, notes = judge(request, probe, target, choice)
    plan = plan_launch(request, launcher, probe, target, choice, judgement, shim, variables, denied)
    return Prepared(choice, judgement, plan, notes, denied)


def judge(
    request: Request, probe: Probe | None, target: TargetFacts, choice: Choice
) -> tuple[Judgement, tuple[str, ...]]:
    """Return the verdict on the map limit, whether or not the plan needs it; and notes."""
    # Imported here: few launches need it.
    from ksmrun.launch.known_peaks import judge_target

    return judge_target(request, target, adds_vmas=adds_vmas(probe, choice))
