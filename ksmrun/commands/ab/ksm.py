"""KSM settings during `ksmrun ab`: as the experiment asks, the same in all rounds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ksmrun.experiment.store import load_ksm
from ksmrun.facts.ksm import read_ksm
from ksmrun.host.temporary_tunables import borrowed
from ksmrun.model.errors import KsmrunError
from ksmrun.model.experiment import ExperimentPlan

# An advisor keeps changing pages_to_scan.
RATE = ("advisor_mode", "sleep_millisecs", "use_zero_pages", "max_page_sharing")


@contextmanager
def ksm_for(plan: ExperimentPlan) -> Iterator[None]:
    """Set KSM as the experiment asks, if this user may."""
    facts = read_ksm()
    is_on = facts.run == 1
    wanted = {"run": "1", **plan.tunables}
    if facts.values.get("advisor_mode", "none") != "none" and "pages_to_scan" in wanted:
        wanted = {"advisor_mode": "none", **wanted}
    if is_on and not plan.tunables and not plan.hold_tunables:
        yield
        return
    if os.geteuid() != 0:
        what = (
            "--ksm and --hold-ksm need root"
            if is_on
            else "KSM is off, and switching it on needs root"
        )
        raise KsmrunError(what, "run this as root, or run `sudo ksmrun host on` first")
    with borrowed(wanted):
        yield


def refuse_other_rate(folder: Path) -> None:
    """Refuse other settings than at the start: rounds are comparable only under the same ones."""
    now, then = read_ksm().values, load_ksm(folder)
    names = RATE if then.get("advisor_mode", "none") != "none" else (*RATE, "pages_to_scan")
    changed = [name for name in names if name in then and then[name] != now.get(name)]
    if changed:
        was = " ".join(f"{name}={then[name]}" for name in changed)
        raise KsmrunError(
            f"KSM has other values than when this experiment began ({was})",
            f"run `sudo ksmrun host set {was}`, or start a new experiment",
        )
