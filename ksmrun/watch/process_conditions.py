"""Judge one process in samples: its map limit, its flag, what merging it costs. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ksmrun.model.watch import Condition, HostState, MapCount, Watched, WatchState
from ksmrun.plan.guard import allowed_maps, fitting_limit
from ksmrun.support.units import MIB, duration
from ksmrun.watch.config import Config
from ksmrun.watch.schedule import seconds_to

# Hysteresis: an alert ends this far below the value at which it begins.
CLEAR_SHARE = 0.9
# A page merges in the second full scan that sees it, so a process has been scanned by then.
FULL_SCANS = 3
# Smaller values are noise.
LOSS_BYTES_MIN = MIB
TREND_MAPS_SHARE = 0.25


def is_fine(process: Watched, now: WatchState, config: Config) -> bool:
    """Return whether each condition of the process is clear."""
    limit, count = now.host.max_map_count, process.count
    has_room = not limit or count is None or _has_room(count, limit, config)
    return process.enabled_by is not None and has_room and _costs_little(process)


def _has_room(count: MapCount, limit: int, config: Config) -> bool:
    most = allowed_maps(limit, config.map_reserve) * CLEAR_SHARE
    return count.maps < most and not _fills_soon(count, limit, config)


def _fills_soon(count: MapCount, limit: int, config: Config) -> bool:
    left_seconds = seconds_to(limit, count)
    if left_seconds is None or left_seconds >= config.warn_ahead_seconds:
        return False
    return count.maps > TREND_MAPS_SHARE * limit


def _costs_little(process: Watched) -> bool:
    return -(process.profit_bytes or 0) < LOSS_BYTES_MIN * CLEAR_SHARE


def of_process(process: Watched, now: WatchState, config: Config) -> Iterator[Condition]:
    """Yield each condition of the process."""
    host = now.host
    if process.count is not None and host.max_map_count:
        yield _map_headroom(process, process.count, host, config)
    subject = name(process)
    lost = process.enabled_by is None
    yield Condition(
        "flag-lost",
        key(process),
        subject,
        is_bad=lost,
        is_clear=not lost,
        what=f"{subject} merged before, and has lost its merge flag",
        todo="the program cleared it, lost it at an exec, or was detached by another user; see: "
        f"sudo ksmrun explain {process.identity.pid}",
        facts={"pid": str(process.identity.pid)},
    )
    # In a boost full scans are short, and the processes to merge with may just be starting.
    yield _costs_more(process, host, judges=not now.boosts)


def _map_headroom(process: Watched, count: MapCount, host: HostState, config: Config) -> Condition:
    limit = host.max_map_count or 0
    soon = _fills_soon(count, limit, config)
    left_seconds = seconds_to(limit, count) or 0.0
    when = f", and reaches that limit in {duration(left_seconds)} at this rate" if soon else ""
    subject = name(process)
    # With it the alert ends, also after another doubling if it is growing.
    most = (int(count.maps / CLEAR_SHARE) + 1) * (2 if soon else 1)
    wanted = fitting_limit(most, config.map_reserve)
    return Condition(
        "map-headroom",
        key(process),
        subject,
        is_bad=count.maps > allowed_maps(limit, config.map_reserve) or soon,
        is_clear=_has_room(count, limit, config),
        what=f"{subject} has {count.maps} maps of {limit}{when}",
        todo=f"sudo ksmrun host max-map-count {wanted}, or {_fewer_maps(process, host)}",
        facts={
            "pid": str(process.identity.pid),
            "value": str(count.maps),
            "limit": str(limit),
            "wanted": str(wanted),
        },
    )


def _fewer_maps(process: Watched, host: HostState) -> str:
    if host.vmas_merge:
        # From 6.17 on merging keeps no mappings apart (commit cf7e7a3503df).
        pid = process.identity.pid
        return f"see what it maps in /proc/{pid}/maps: it has as many maps without merging"
    return "restart it without merging"


def _costs_more(process: Watched, host: HostState, *, judges: bool) -> Condition:
    profit = process.profit_bytes
    since, scans = process.since_full_scans, host.ksm.full_scans
    looked_at = since is not None and scans is not None and scans >= since + FULL_SCANS
    loss = -(profit or 0)
    subject = name(process)
    return Condition(
        "costs-more",
        key(process),
        subject,
        is_bad=judges and looked_at and process.enabled_by is not None and loss >= LOSS_BYTES_MIN,
        is_clear=_costs_little(process),
        what=f"{subject} merged little in {FULL_SCANS} full scans: ksmd's records of it take "
        f"{loss / MIB:.1f} MiB more than it saves",
        todo=f"see why: sudo ksmrun explain {process.identity.pid}; or start it without merging",
        facts={"pid": str(process.identity.pid), "value": str(profit)},
    )


def key(process: Watched) -> str:
    """Return the key of this very process; a reused PID gives another one."""
    return f"{process.identity.pid}-{process.identity.start_ticks}"


def name(process: Watched) -> str:
    """Return the name for people: PID, command, and unit or container."""
    who = process.identity
    place = who.container or who.unit
    return f"PID {who.pid} ({who.name}{f', {place}' if place else ''})"
