"""Order in which arms take their turns. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def turns(arms: Sequence[str], rounds: int) -> tuple[tuple[str, ...], ...]:
    """Return the order of the arms in each round.

    Every arm runs in every round, so that rounds are pairs. Each round starts with the next arm,
    and every second one is reversed, so that every arm is equally often first, last and after each
    other arm (Williams designs achieve that exactly; with two arms this is one).
    """
    found = []
    for number in range(rounds):
        shift = (number // 2) % len(arms)
        order = [*arms[shift:], *arms[:shift]]
        found.append(tuple(reversed(order) if number % 2 else order))
    return tuple(found)
