"""When to count the maps of a process again: at the latest so, where there is time sooner. Pure."""

from __future__ import annotations

from ksmrun.model.watch import MapCount

# A program that goes wrong was seen to gain some hundred a second; so many are always feared.
FEARED_PER_SECOND = 100.0
# Counted so often on the way to the reserve.
LOOKS_ON_THE_WAY = 4
DELAY_SECONDS_MAX = 600.0


def next_count_seconds(count: MapCount, reserve_at: float, interval_seconds: float) -> float:
    """How long to wait after this count; reserve_at: so many maps leave the reserve."""
    left = reserve_at - count.maps
    if left <= 0:
        return interval_seconds
    speed = max(FEARED_PER_SECOND, count.per_second, count.last_per_second)
    return min(max(left / speed / LOOKS_ON_THE_WAY, interval_seconds), DELAY_SECONDS_MAX)


def counted(before: MapCount | None, maps: int, seconds: float) -> MapCount:
    """The new count, with the trend that follows from the ones before: two intervals in a row make
    one, as all that came in a single one may have come at once.
    """
    if before is None or seconds <= before.seconds:
        return MapCount(maps, seconds, 0.0)
    speed = max((maps - before.maps) / (seconds - before.seconds), 0.0)
    return MapCount(maps, seconds, min(speed, before.last_per_second), speed)


def seconds_to(limit: int, count: MapCount) -> float | None:
    """Until it has that many if it goes on so; None where it does not grow."""
    if count.per_second <= 0 or count.maps >= limit:
        return None
    return (limit - count.maps) / count.per_second
