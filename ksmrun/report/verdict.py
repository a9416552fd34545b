"""Result in words and numbers: each arm compared with the first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ksmrun.model.errors import KsmrunError
from ksmrun.model.quantities import Unit, metric
from ksmrun.report.conditions import scan_rate
from ksmrun.report.results import Saved
from ksmrun.report.statistics import ROUNDS_MIN, Difference, compare, corrected
from ksmrun.report.values import size_text, word_of


@dataclass(frozen=True)
class ArmVerdict:
    """Comparison of one arm. differences: the primary metric first; headline: its difference.

    details: certainty, time, cost, and the other metrics that were asked for.
    """

    arm: str
    base: str
    differences: tuple[Difference, ...]
    headline: str
    details: str

    @property
    def sentence(self) -> str:
        """Complete sentence, as shown to people."""
        return self.headline + self.details


def judge(saved: Saved) -> tuple[ArmVerdict, ...]:
    """Return a verdict for each arm except the first, which is the base."""
    base, *others = saved.arms
    return tuple(_judge(saved, base, arm) for arm in others)


def _judge(saved: Saved, base: str, arm: str) -> ArmVerdict:
    primary = str(saved.plan["primary"])
    before, after = saved.rounds[base], saved.rounds[arm]
    names = [name for name in before[0] if all(name in each for each in (*before, *after))]
    found = {
        name: compare(name, [each[name] for each in before], [each[name] for each in after])
        for name in names
    }
    if primary not in found:
        raise KsmrunError(
            f"{saved.folder}: the primary metric {primary} is not in every round",
            f"repeat the experiment with another --primary: {', '.join(found)}",
        )
    first = found.pop(primary)
    differences = corrected(first, list(found.values()))
    return ArmVerdict(
        arm, base, differences, _headline(arm, differences[0]), _details(saved, arm, differences)
    )


def _headline(arm: str, primary: Difference) -> str:
    if _shows_none(primary):
        return f"{arm}: no change of {word_of(primary.metric)} shown ({_signed_share(primary)})"
    if metric(primary.metric).unit is Unit.BYTES:
        return _saved(arm, primary)
    return (
        f"{arm} changes {word_of(primary.metric)} by {primary.mean:+.3g} ({_signed_share(primary)})"
    )


def _shows_none(each: Difference) -> bool:
    """Return whether there are rounds enough, and chance alone may explain the difference."""
    return each.rounds >= ROUNDS_MIN and not each.is_certain


def _details(saved: Saved, arm: str, differences: Sequence[Difference]) -> str:
    primary = differences[0]
    others = {each.metric: each for each in differences[1:]}
    text = ""
    if primary.rounds < ROUNDS_MIN:
        rounds = "1 round" if primary.rounds == 1 else f"{primary.rounds} rounds"
        text += f", from {rounds}, which is too few to be certain"
    settle, ksmd = others.get("settle_seconds"), others.get("ksmd_cpu_seconds")
    if settle is not None and settle.arm_mean > 0:
        rates = dict.fromkeys(scan_rate(host) for host in saved.hosts)
        text += f", after {settle.arm_mean:.0f} s"
        if len(rates) == 1 and None not in rates:
            text += f" of scanning {next(iter(rates))}"
    if ksmd is not None:
        text += f", for {ksmd.arm_mean:.1f} s of ksmd's CPU"
    ideal = _share_of_ideal(saved, arm)
    if ideal is not None:
        text += f"; {ideal:.0%} of what could merge has merged"
    own = [each for each in differences[1:] if each.metric in _own_names(saved)]
    return text + "".join(f"; {_own_text(each)}" for each in own)


def _own_text(each: Difference) -> str:
    """Describe a custom metric. Not as "unchanged": an undetected difference may be large."""
    if each.is_certain:
        return f"{each.metric} {_more_or_less(each)}"
    if each.rounds < ROUNDS_MIN:
        return f"{each.metric}: too few rounds to tell"
    return f"{each.metric}: no change shown ({_signed_share(each)})"


def _more_or_less(each: Difference) -> str:
    word = "more" if each.mean >= 0 else "less"
    return f"{each.mean:+.3g}, from 0" if each.share is None else f"{_share(each)} {word}"


def _share_of_ideal(saved: Saved, arm: str) -> float | None:
    """Return the share of the mergeable memory that merged; None without an estimate."""
    rounds = [each for each in saved.rounds[arm] if each.get("mergeable_bytes", 0) > 0]
    if not rounds:
        return None
    return fmean([each.get("merged_bytes", 0.0) / each["mergeable_bytes"] for each in rounds])


def _own_names(saved: Saved) -> set[str]:
    return {str(each["name"]) for each in saved.plan["metrics"]}


def _saved(arm: str, primary: Difference) -> str:
    size, base = size_text(-primary.mean), size_text(primary.base_mean)
    verb = "saves" if primary.mean <= 0 else "costs"
    return f"{arm} {verb} {size.lstrip('-')} of {base} ({_share(primary)})"


def _share(each: Difference) -> str:
    """Return the share of the base, with half of its interval."""
    if each.share is None:
        return "of nothing"
    text = f"{abs(each.share):.0%}"
    if each.low is None or each.high is None:
        return text
    return f"{text} ± {(each.high - each.low) / 2 / abs(each.base_mean):.0%}"


def _signed_share(each: Difference) -> str:
    if each.share is None:
        return f"{each.mean:+.3g}, from 0"
    return ("+" if each.mean >= 0 else "-") + _share(each)
