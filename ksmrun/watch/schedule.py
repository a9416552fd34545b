"""Decide when a process's VMAs must be counted again: often near the limit. Pure."""

from __future__ import annotations

from ksmrun.model.watch import MapCount

# A runaway program gained some hundred per second; this many are always assumed.
FEARED_PER_SECOND = 100.0
# Number of counts on the way to the reserve.
LOOKS_ON_THE_WAY = 4
DELAY_SECONDS_MAX = 600.0


def next_count_seconds(count: MapCount, reserve_at: float, interval_seconds: float) -> float:
    """Return how long to wait after this count; reserve_at: count at which the reserve begins."""
    left = reserve_at - count.maps
    if left <= 0:
        return interval_seconds
    speed = max(FEARED_PER_SECOND, count.per_second, count.last_per_second)
    return min(max(left / speed / LOOKS_ON_THE_WAY, interval_seconds), DELAY_SECONDS_MAX)


def counted(before: MapCount | None, maps: int, seconds: float) -> MapCount:
    """Return the new count, with the trend since the previous ones.

    Two intervals in a row make a trend, as the growth of a single one may have been a leap.
    """
    if before is None or seconds <= before.seconds:
        return MapCount(maps, seconds, 0.0)
    speed = max((maps - before.maps) / (seconds - before.seconds), 0.0)
    return MapCount(maps, seconds, min(speed, before.last_per_second), speed)


def seconds_to(limit: int, count: MapCount) -> float | None:
    """Return the time until the limit at the present trend; None if it does not grow."""
    if count.per_second <= 0 or count.maps >= limit:
        return None
    return (limit - count.maps) / count.per_second
