"""Standing alerts: each begins once and ends once."""

from __future__ import annotations

from collections.abc import Iterable

from ksmrun.model.watch import ALERT_KINDS, Condition, Event


class AlertBook:
    """Alerts that were raised and have not ended.

    An alert also ends if its condition is no longer reported (its process ended, its cgroup is
    gone).
    """

    def __init__(self) -> None:
        self._standing: dict[tuple[str, str], Condition] = {}
        self.raised_total = dict.fromkeys(ALERT_KINDS, 0)

    @property
    def standing(self) -> tuple[Condition, ...]:
        """Standing conditions as last reported, the oldest first."""
        return tuple(self._standing.values())

    def update(self, conditions: Iterable[Condition]) -> list[Event]:
        """Return which alerts these conditions begin and end."""
        events, told = [], set()
        for condition in conditions:
            key = (condition.kind, condition.key)
            told.add(key)
            if key not in self._standing and condition.is_bad:
                self.raised_total[condition.kind] += 1
                self._standing[key] = condition
                events.append(Event(True, condition))
            elif key in self._standing and condition.is_clear:
                del self._standing[key]
                events.append(Event(False, condition))
            elif key in self._standing:
                self._standing[key] = condition
        for key in [key for key in self._standing if key not in told]:
            events.append(Event(False, self._standing.pop(key)))
        return events
