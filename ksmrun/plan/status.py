"""Judgement of a host's state: what is in order, and what to do about the rest. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from ksmrun.model.launch import MAP_RESERVE
from ksmrun.model.status import HostStatus, Row, State, Unread
from ksmrun.model.wrap import INSTALL_LAUNCHER
from ksmrun.plan.guard import allowed_maps, fitting_limit
from ksmrun.plan.tuning import LOW_ALREADY, calmer
from ksmrun.support.units import MIB, processes

# Share of a core that ksmd takes, or wants and does not get.
BUSY_SHARE = 0.9
STARVED_SHARE = 0.5
# A shorter look does not show that ksmd stands still.
STILL_SECONDS_MIN = 0.05


def judge(seen: HostStatus) -> tuple[Row, ...]:
    """Return the rows in the order of the screen."""
    rows = (
        _ksm(seen),
        _host_memory(seen),
        _cgroup(seen),
        _ksmd(seen),
        _maps(seen),
        _flags(seen),
        _layout(seen),
        _alerts(seen),
        _launcher(seen),
        _wraps(seen),
        _records(seen),
    )
    return (*rows, _access(seen)) if seen.unreadable or seen.hidepid else rows


def worst(rows: Iterable[Row]) -> State:
    """Return the state that decides about the exit code."""
    states = {row.state for row in rows}
    return next((each for each in (State.TODO, State.UNKNOWN) if each in states), State.OK)


def _ksm(seen: HostStatus) -> Row:
    ksm, waiting = seen.host.ksm, len(seen.merging)
    if not ksm.present:
        return Row("KSM", State.TODO, "not in this kernel, or /sys is not mounted", "ksmrun check")
    run = ksm.run
    who = "; ".join(seen.setters)
    if run == 1:
        return Row("KSM", State.OK, f"on; {who or 'by hand or by another program'}")
    off = {0: "off", 2: "unmerging (run=2)"}.get(-1 if run is None else run, "unreadable")
    text = f"{off}; {who}" if who else off
    if waiting:
        return Row(
            "KSM", State.TODO, f"{text}; {processes(waiting, 'wait')}", "sudo ksmrun host on"
        )
    return Row("KSM", State.OK, f"{text}; nothing here is to be merged")


def _host_memory(seen: HostStatus) -> Row:
    merged = (seen.host.ksm.merged_pages or 0) * seen.host.ksm.page_bytes
    available = seen.host.mem_available_bytes
    if available is None:
        return Row("memory", State.UNKNOWN, "MemAvailable is not readable", "ksmrun check")
    free = available + (seen.host.swap_free_bytes or 0)
    found = f"{_mib(max(merged, 0))} merged, {_mib(free)} free"
    if merged > free:
        # Unmerging would bring about what it is to prevent.
        found += ": it does not fit if it comes back"
        return Row("memory", State.TODO, found, "sudo ksmrun ps --sort merged")
    return Row("memory", State.OK, f"{found}: it fits if it comes back")


def _cgroup(seen: HostStatus) -> Row:
    if not seen.groups:
        return Row("cgroup", State.OK, "no limited cgroup has merged memory")
    tightest = min(seen.groups, key=lambda group: group.free_bytes - group.merged_bytes)
    found = (
        f"{tightest.path}: {_mib(tightest.merged_bytes)} merged, {_mib(tightest.free_bytes)} of "
        f"{_mib(tightest.limit_bytes)} free"
    )
    if tightest.merged_bytes <= tightest.free_bytes:
        return Row("cgroup", State.OK, f"{found}: it fits")
    return Row("cgroup", State.TODO, f"{found}: it would be killed", tightest.raising)


def _ksmd(seen: HostStatus) -> Row:
    ksm, look = seen.host.ksm, seen.ksmd
    if ksm.run != 1:
        return Row("ksmd", State.OK, "idle, as KSM is off")
    if look is None or look.used_share is None:
        return Row("ksmd", State.OK, "not visible from this PID namespace")
    pages, sleep = ksm.number("pages_to_scan"), ksm.number("sleep_millisecs")
    waited = look.waited_share or 0.0
    found = f"{look.used_share:.0%} of a core, waits {waited:.0%} of the time for a CPU"
    found += f", sleeps {sleep} ms after {pages} pages"
    if look.scheduling is not None and look.scheduling.unusual:
        found += f"; {look.scheduling.unusual}"
    is_idle = look.scheduling is not None and look.scheduling.is_idle
    # With that policy it is meant to wait, and to scan nothing meanwhile.
    waited = 0.0 if is_idle else waited
    lower = calmer(sleep, pages, str(ksm.values.get("advisor_mode", "none")))
    if waited < STARVED_SHARE and look.used_share + waited >= BUSY_SHARE and lower is not None:
        return Row("ksmd", State.TODO, f"{found}; lower it once merging has settled", lower)
    if waited >= STARVED_SHARE or look.used_share + waited >= BUSY_SHARE:
        return Row("ksmd", State.TODO, found, lower or LOW_ALREADY)
    rests = (sleep or 0) / 1e3 * 2
    still = not is_idle and look.pages == 0 and look.seconds > max(rests, STILL_SECONDS_MIN)
    if still and seen.merging:
        return Row("ksmd", State.TODO, f"{found}; it scans nothing", "ksmrun host show")
    return Row("ksmd", State.OK, found)


def _maps(seen: HostStatus) -> Row:
    counted = [each for each in seen.merging if each.maps is not None]
    limit = seen.host.max_map_count
    if limit is None:
        found = "vm.max_map_count is not readable"
        return Row("map limit", State.UNKNOWN, found, "mount -t proc proc /proc")
    if not seen.merging:
        return Row("map limit", State.OK, f"no process merges (limit {limit})")
    if not counted:
        return Row("map limit", State.UNKNOWN, "no process could be counted", "sudo ksmrun status")
    most = max(counted, key=lambda each: each.maps or 0)
    maps = most.maps or 0
    found = f"PID {most.pid} ({most.name}): {maps} of {limit}"
    if len(counted) < len(seen.merging):
        found += f", of {len(counted)} counted of {len(seen.merging)}"
    near = [each for each in counted if (each.maps or 0) > allowed_maps(limit, MAP_RESERVE)]
    if not near:
        return Row("map limit", State.OK, found)
    found += f"; {len(near)} are near it"
    wanted = fitting_limit(maps, MAP_RESERVE)
    return Row("map limit", State.TODO, found, f"sudo ksmrun host max-map-count {wanted}")


def _flags(seen: HostStatus) -> Row:
    if not seen.lost:
        return Row(
            "flags",
            State.OK,
            f"{processes(len(seen.merging), 'merge')}, none is known to have lost it",
        )
    (pid, name), *others = seen.lost
    found = f"not merging: PID {pid} ({name}){_more(others)}"
    return Row("flags", State.TODO, found, f"sudo ksmrun explain {pid}")


def _layout(seen: HostStatus) -> Row:
    if not seen.keyless:
        return Row("layout", State.OK, "no shared layout is known to have lost its key")
    first, *others = seen.keyless
    found = f"key deleted, later copies differ from PID {first}{_more(others)}"
    return Row("layout", State.TODO, found, "start the programs of the group again, together")


def _alerts(seen: HostStatus) -> Row:
    monitor = seen.monitor
    if monitor is None:
        return Row("alerts", State.OK, "no monitor runs: only this moment was looked at")
    if isinstance(monitor, Unread):
        return Row("alerts", State.UNKNOWN, monitor.what, monitor.todo)
    if not monitor.runs and seen.hidepid:
        found = f"only root sees whether the monitor (PID {monitor.pid}) still runs"
        return Row("alerts", State.UNKNOWN, found, "sudo ksmrun status")
    if not monitor.runs:
        found = f"the monitor (PID {monitor.pid}) ended unexpectedly"
        todo = "sudo systemctl restart ksmrun-monitor, or start `ksmrun monitor` again"
        return Row("alerts", State.TODO, found, todo)
    if not monitor.alerts:
        return Row("alerts", State.OK, f"none at present, by the monitor (PID {monitor.pid})")
    (kind, what, todo), *others = monitor.alerts
    return Row("alerts", State.TODO, f"{kind}: {what}{_more(others)}", todo)


def _launcher(seen: HostStatus) -> Row:
    if seen.launchers:
        first, *others = seen.launchers
        found = f"missing: {first}{_more(others)} will not start"
        return Row("launcher", State.TODO, found, INSTALL_LAUNCHER)
    launcher = seen.launcher
    if launcher is None:
        return Row("launcher", State.OK, "no wrap needs one that is missing")
    if isinstance(launcher, Unread):
        return Row("launcher", State.TODO, launcher.what, launcher.todo)
    if not launcher.is_current:
        found = f"{launcher}: not the version of this ksmrun"
        return Row("launcher", State.TODO, found, INSTALL_LAUNCHER)
    return Row("launcher", State.OK, str(launcher))


def _wraps(seen: HostStatus) -> Row:
    if not seen.stale:
        return Row("wraps", State.OK, f"{seen.wrapped} here, none is stale")
    first, *others = seen.stale
    name = shlex.quote(first.name)
    found = f"ExecStart= changed: {first.name}{_more(others)}"
    if first.kind == "unit":
        return Row("wraps", State.TODO, found, f"sudo ksmrun wrap unit --now {name}")
    todo = f"as the owner of {first.path}: ksmrun wrap unit --user --now {name}"
    return Row("wraps", State.TODO, found, todo)


def _records(seen: HostStatus) -> Row:
    records = seen.records
    if isinstance(records, Unread):
        return Row("records", State.UNKNOWN, records.what, records.todo)
    left = _names(record.names for record in records if record.left)
    if left:
        found = f"{left}: left by a measurement or monitor that ended"
        return Row("records", State.TODO, found, "sudo ksmrun host restore")
    unseen = _names(record.names for record in records if record.left is None)
    if unseen:
        found = f"{unseen}: only root sees whether the measurement or monitor that set it runs"
        return Row("records", State.UNKNOWN, found, "sudo ksmrun status")
    names = _names(record.names for record in records)
    if names:
        return Row("records", State.OK, f"{names} can be put back (sudo ksmrun host restore)")
    return Row("records", State.OK, "nothing to put back")


def _access(seen: HostStatus) -> Row:
    found = "/proc hides other users' processes (hidepid)"
    if seen.unreadable:
        found = f"{processes(seen.unreadable)} of other users could not be read"
    return Row("access", State.UNKNOWN, found, "sudo ksmrun status")


def _names(groups: Iterable[Sequence[str]]) -> str:
    return ", ".join(dict.fromkeys(name for group in groups for name in group))


def _more(others: Sequence[object]) -> str:
    return f" and {len(others)} more" if others else ""


def _mib(size: int) -> str:
    return f"{size / MIB:,.0f} MiB"
