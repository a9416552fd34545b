"""Decide when to count a process's VMAs again: rarely far from the limit, often near it. Pure."""

from __future__ import annotations

from ksmrun.model.watch import MapCount

# A runaway program gained some hundred per second; this many are always assumed.
FEARED_PER_SECOND = 100.0
# Number of counts on the way to the reserve.
LOOKS_ON_THE_WAY = 4
DELAY_SECONDS_MAX = 600.0
# Weight of the latest value in the trend.
TREND_WEIGHT = 0.5


def next_count_seconds(count: MapCount, reserve_at: float, interval_seconds: float) -> float:
    """Return how long to wait after this count; reserve_at: count at which the reserve begins."""
    left = reserve_at - count.maps
    if left <= 0:
        return interval_seconds
    speed = max(FEARED_PER_SECOND, count.per_second)
    return min(max(left / speed / LOOKS_ON_THE_WAY, interval_seconds), DELAY_SECONDS_MAX)


def counted(before: MapCount | None, maps: int, seconds: float) -> MapCount:
    """Return the new count, with the trend since the previous one."""
    if before is None or seconds <= before.seconds:
        return MapCount(maps, seconds, 0.0)
    speed = (maps - before.maps) / (seconds - before.seconds)
    trend = TREND_WEIGHT * speed + (1 - TREND_WEIGHT) * before.per_second
    return MapCount(maps, seconds, max(trend, 0.0))


def seconds_to(limit: int, count: MapCount) -> float | None:
    """Return the time until the limit at the present trend; None if it does not grow."""
    if count.per_second <= 0 or count.maps >= limit:
        return None
    return (limit - count.maps) / count.per_second
