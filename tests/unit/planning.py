"""Plan a launch from facts that a test made up. The product asks the host (launch/prepare.py)."""

from __future__ import annotations

from ksmrun.model.launch import Plan, Probe, Refusal, Request, TargetFacts
from ksmrun.plan import launch
from ksmrun.plan.guard import Judgement
from ksmrun.plan.mechanism import choose


def plan_launch(
    request: Request,
    launcher: bytes,
    probe: Probe | None,
    target: TargetFacts,
    judgement: Judgement | None = None,
    shim: bytes | None = None,
) -> Plan | Refusal:
    """Return the plan for the mechanism that is chosen for the same facts."""
    choice = choose(request, probe, target, shim)
    return launch.plan_launch(request, launcher, probe, target, choice, judgement, shim)
