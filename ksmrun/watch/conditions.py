"""Judge samples: what is going wrong, or soon will. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from itertools import pairwise

from ksmrun.model.ksm import KSMD_NICE
from ksmrun.model.memory_group import GroupState
from ksmrun.model.trust import Member
from ksmrun.model.watch import Condition, HostState, TrustView, WatchState
from ksmrun.plan.trust import who, wrong_with
from ksmrun.plan.tuning import LOW_ALREADY, calmer
from ksmrun.support.units import MIB, duration, processes
from ksmrun.watch.config import Config
from ksmrun.watch.process_conditions import CLEAR_SHARE, is_fine, key, of_process

# Number of consecutive samples that must agree about ksmd.
IN_A_ROW = 4
# Growth between closer samples (at SIGHUP, with --auto) is ignored.
APART_SECONDS_MIN = 1.0
# Share of all memory unmerged by writes within the samples.
COMEBACK_SHARE = 0.05


def conditions(
    states: Sequence[WatchState], config: Config, standing: Container[str] | None = None
) -> Iterator[Condition]:
    """Yield the state of every condition; states: samples of the last minutes, the newest last.

    standing: keys of the alerts that stand. Other processes of which nothing is to be told are left
    out, as writing their texts costs more than reading them; None: none is left out.
    """
    now = states[-1]
    hosts = [state.host for state in states]
    for process in now.processes:
        if standing is None or not is_fine(process, now, config) or key(process) in standing:
            yield from of_process(process, now, config)
    yield _ksmd_off(now)
    yield _ksmd_starved(hosts, merges=any(process.enabled_by for process in now.processes))
    yield _ksmd_busy(now, hosts, config.ksmd_busy_share)
    yield _cow_surge(hosts, config.cow_breaks_per_second)
    yield _could_come_back(now.host)
    yield from map(_could_come_back_in, now.groups)
    yield _comes_back(hosts)
    if now.trust is not None:
        yield from _foreign_mergers(now.trust)


def _foreign_mergers(trust: TrustView) -> Iterator[Condition]:
    """Yield those that should not merge; an alert that is not told any more ends."""
    for each in trust.members:
        wrong = wrong_with(each, trust.held_by)
        if wrong is not None:
            yield _foreign_merger(each, wrong)


def _foreign_merger(found: Member, wrong: str) -> Condition:
    merger = found.merger
    subject = who(merger)
    return Condition(
        "foreign-merger",
        f"{merger.pid}-{merger.start_ticks}",
        subject,
        is_bad=True,
        is_clear=False,
        what=f"{subject} merges, and {wrong}",
        todo=f"end it: sudo ksmrun detach {merger.pid}; or add it to the trust file",
        facts={
            "pid": str(merger.pid),
            "domain": ",".join(found.domains),
            "unit": merger.place or "",
        },
    )


def _ksmd_off(now: WatchState) -> Condition:
    waiting = sum(process.enabled_by is not None for process in now.processes)
    run = now.host.ksm.run
    is_bad = waiting > 0 and run is not None and run != 1
    return Condition(
        "ksmd-off",
        "",
        "ksmd",
        is_bad=is_bad,
        is_clear=not is_bad,
        what=f"ksmd is off (run={run}), and {processes(waiting, 'wait')} to be merged",
        todo="sudo ksmrun host on",
        facts={"value": str(run)},
    )


def _ksmd_starved(hosts: Sequence[HostState], *, merges: bool) -> Condition:
    """Return whether ksmd scanned nothing although it is on and has work.

    Before 6.7 its CPU time is used.
    """
    recent = hosts[-IN_A_ROW:]
    work = [
        host.ksmd_cpu_seconds if host.ksm.pages_scanned is None else host.ksm.pages_scanned
        for host in recent
    ]
    stands = (
        len(recent) == IN_A_ROW
        and merges
        and all(host.ksm.run == 1 for host in recent)
        and None not in work
        and len(set(work)) == 1
    )
    scheduling = recent[-1].ksmd_scheduling
    waited = recent[-1].seconds - recent[0].seconds
    sleeps_seconds = (recent[-1].ksm.number("sleep_millisecs") or 0) / 1e3
    # With such a long sleep it does what it was configured to do.
    stands = stands and waited > max(2 * sleeps_seconds, APART_SECONDS_MIN)
    return Condition(
        "ksmd-starved",
        "",
        "ksmd",
        is_bad=stands,
        is_clear=len(work) < 2 or work[-1] != work[-2] or not merges or recent[-1].ksm.run != 1,
        what=f"ksmd is on and has scanned nothing for {duration(waited)}",
        todo="check sleep_millisecs and pages_to_scan (ksmrun host show), and what takes the CPU "
        f"(top): ksmd runs {(scheduling and scheduling.unusual) or f'at nice {KSMD_NICE}'}",
    )


def _ksmd_busy(now: WatchState, hosts: Sequence[HostState], busy_share: float) -> Condition:
    """Judge ksmd by its demand: beside busy programs it gets only part of what it wants."""
    # In a boost the tuner keeps the cap on what is taken; and with the policy idle it is meant to
    # wait.
    scheduling = hosts[-1].ksmd_scheduling
    waits = not now.boosts and not (scheduling is not None and scheduling.is_idle)
    shares = [_ksmd_share(*pair, waits=waits) for pair in pairwise(hosts[-IN_A_ROW - 1 :])]
    known = [share for share in shares if share is not None]
    used, waited = known[-1] if known else (0.0, 0.0)
    host, last = hosts[-1], used + waited
    waiting = f" and waits for a CPU for {waited:.0%} of the time" if waited >= 0.01 else ""
    ksm = host.ksm
    lower = calmer(
        ksm.number("sleep_millisecs"),
        ksm.number("pages_to_scan"),
        str(ksm.values.get("advisor_mode", "none")),
    )
    todo = f"lower its rate once merging has settled: {lower}" if lower else LOW_ALREADY
    return Condition(
        "ksmd-busy",
        "",
        "ksmd",
        is_bad=len(known) == IN_A_ROW and min(map(sum, known)) >= busy_share,
        is_clear=last < busy_share * CLEAR_SHARE,
        what=f"ksmd takes {used:.0%} of a core{waiting}, for {IN_A_ROW} samples now",
        todo=todo if now.boosts is None else "give the monitor a lower --max-cpu",
        facts={"value": f"{last:.3f}"},
    )


def _ksmd_share(before: HostState, after: HostState, *, waits: bool) -> tuple[float, float] | None:
    """Return ksmd's share of a core, and the share of time it waited for one."""
    passed = after.seconds - before.seconds
    if after.ksmd_cpu_seconds is None or before.ksmd_cpu_seconds is None or passed <= 0:
        return None
    used = (after.ksmd_cpu_seconds - before.ksmd_cpu_seconds) / passed
    if not waits or after.ksmd_waited_seconds is None or before.ksmd_waited_seconds is None:
        return used, 0.0
    return used, (after.ksmd_waited_seconds - before.ksmd_waited_seconds) / passed


def _cow_surge(hosts: Sequence[HostState], surge: float) -> Condition:
    last, speed = hosts[-1], 0.0
    apart = [host for host in hosts if last.seconds - host.seconds >= APART_SECONDS_MIN]
    before = apart[-1] if apart else last
    if last.cow_breaks is not None and before.cow_breaks is not None and before is not last:
        speed = (last.cow_breaks - before.cow_breaks) / (last.seconds - before.seconds)
    return Condition(
        "cow-surge",
        "",
        "the host",
        is_bad=speed >= surge,
        is_clear=speed < surge * CLEAR_SHARE,
        what=f"{speed:.0f} merged pages a second are copied back as programs write to them",
        todo="see which program merges less than before: sudo ksmrun ps",
        facts={"value": f"{speed:.0f}", "limit": f"{surge:.0f}"},
    )


def _could_come_back(host: HostState) -> Condition:
    free = (host.mem_available_bytes or 0) + (host.swap_free_bytes or 0)
    known = host.mem_available_bytes is not None
    return Condition(
        "memory-could-come-back",
        "",
        "the host",
        is_bad=known and host.ksm.merged_bytes > free,
        is_clear=known and host.ksm.merged_bytes <= free * CLEAR_SHARE,
        what=f"{host.ksm.merged_bytes / MIB:.0f} MiB are merged, and only {free / MIB:.0f} MiB are "
        "free: if programs change those pages, the host runs out of memory",
        todo="run fewer copies, or add memory or swap; do not unmerge",
        facts={"value": str(host.ksm.merged_bytes), "limit": str(free)},
    )


def _could_come_back_in(group: GroupState) -> Condition:
    free = group.free_bytes
    return Condition(
        "memory-could-come-back",
        group.path,
        group.path,
        is_bad=group.merged_bytes > free,
        is_clear=group.merged_bytes <= free * CLEAR_SHARE,
        what=f"{group.path} has {group.merged_bytes / MIB:.0f} MiB merged, and only "
        f"{free / MIB:.0f} of its {group.limit_bytes / MIB:.0f} MiB are free: if its programs "
        "change those pages, it is killed",
        todo=f"{group.raising}, or run fewer processes in it",
        facts={"value": str(group.merged_bytes), "limit": str(free)},
    )


def _comes_back(hosts: Sequence[HostState]) -> Condition:
    """Compare with the sample of these in which the most was merged."""
    last = hosts[-1]
    most = max(hosts, key=lambda host: host.ksm.merged_bytes)
    back = most.ksm.merged_bytes - last.ksm.merged_bytes
    fallen = (most.mem_available_bytes or 0) - (last.mem_available_bytes or 0)
    wanted = COMEBACK_SHARE * (last.mem_total_bytes or 0)
    is_bad = 0 < wanted <= back and fallen >= wanted
    return Condition(
        "memory-comes-back",
        "",
        "the host",
        is_bad=is_bad,
        is_clear=not is_bad,
        what=f"{back / MIB:.0f} MiB of merged memory came back within "
        f"{duration(last.seconds - most.seconds)}, and {fallen / MIB:.0f} MiB less are available",
        todo="see which process merges less (sudo ksmrun ps); stop copies before memory runs out",
        facts={"value": str(back), "limit": f"{wanted:.0f}"},
    )
