"""In which order arms take their turns. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def turns(arms: Sequence[str], rounds: int) -> tuple[tuple[str, ...], ...]:
    """For each round the arms in order.

    Every arm runs in every round, so that rounds are pairs; with each round another begins, and
    every second one goes backwards, so that being first, last or after a certain arm falls to all
    alike (Williams designs are exact for this; with two arms it is the same).
    """
    found = []
    for number in range(rounds):
        shift = (number // 2) % len(arms)
        order = [*arms[shift:], *arms[:shift]]
        found.append(tuple(reversed(order) if number % 2 else order))
    return tuple(found)
