"""Rows of `ksmrun check`: what helps or hinders merging on this host, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from ksmrun.model.frozen import dataclass
from ksmrun.model.ksm import HostFacts, KsmFacts
from ksmrun.model.launch import Probe
from ksmrun.plan.mechanism import LOST_AT_EXEC, can_mark, is_never_scanned, obstacle_to_merging
from ksmrun.plan.tuning import LOW_ALREADY, calmer, whole_core
from ksmrun.support.units import MIB, duration

# The kernel's default (mm/mmap.c: DEFAULT_MAX_MAP_COUNT).
MAX_MAP_COUNT_DEFAULT = 65530
LOOK = "look at /sys/kernel/mm/ksm and /proc/meminfo"
# With a slower full scan a program merges long after its launch.
SLOW_SCAN_SECONDS = 300.0


@dataclass(frozen=True)
class CheckRow:
    """One finding: status is ok, warn or fail; fail means that nothing merges."""

    item: str
    status: str
    found: str
    todo: str = ""


def examine(host: HostFacts, probe: Probe) -> tuple[CheckRow, ...]:
    """Return all rows, the decisive ones first."""
    return tuple(
        row for rows in (_kernel(probe), _ksm(host), _memory(host), _place(host)) for row in rows
    )


def would_merge(rows: tuple[CheckRow, ...]) -> bool:
    """Return whether a program launched now would merge."""
    return all(row.status != "fail" for row in rows)


def pages_per_second(ksm: KsmFacts) -> float | None:
    """Return an upper bound of ksmd's scan rate: pages_to_scan pages, then sleep_millisecs."""
    pages, sleep = ksm.number("pages_to_scan"), ksm.number("sleep_millisecs")
    if pages is None or sleep is None:
        return None
    # Without a sleep only the scanning itself limits the rate; assume a millisecond.
    return pages * 1000.0 / max(sleep, 1)


def _kernel(probe: Probe) -> Iterator[CheckRow]:
    obstacle = obstacle_to_merging(probe)
    if obstacle is not None:
        found, todo = f"{probe.kernel}: {obstacle[0]}", obstacle[1]
        if can_mark(probe):
            marked = f"{found}; the memory of dynamically linked programs is marked by the shim"
            yield CheckRow("kernel", "warn", marked, f"{todo}, for the others")
        else:
            yield CheckRow("kernel", "fail", found, todo)
        return
    if probe.prctl_supported is None:
        yield CheckRow(
            "kernel",
            "warn",
            f"{probe.kernel}: it could not be probed, as no child could be started",
            "raise the limit of processes (ulimit -u, pids.max)",
        )
        return
    kept = "keeps the merge flag over exec"
    if probe.kept_over_exec is False:
        yield CheckRow(
            "kernel",
            "warn",
            f"{probe.kernel}: {LOST_AT_EXEC[0]}; dynamically linked programs merge by the shim",
            LOST_AT_EXEC[1],
        )
        return
    if probe.kept_over_exec is None:
        kept = "whether the merge flag is kept over exec could not be seen"
    yield CheckRow("kernel", "ok", f"{probe.kernel}: {kept}")
    if is_never_scanned(probe):
        yield CheckRow(
            "scan after exec",
            "warn",
            f"kernels {probe.known_not_scanned} never scan a launched program",
            "turn KSM on and run check again; boot 6.12 or later",
        )
    if probe.vmas_merge is False:
        yield CheckRow(
            "VMA merging",
            "warn",
            f"{probe.vma_steps} neighbouring mappings stay {probe.mmap_vmas} VMAs, and "
            f"{probe.vma_steps} brk steps make {probe.brk_vmas}; the shim joins them in "
            "dynamically linked programs",
            "boot 6.17 or later, or raise vm.max_map_count for static programs with large heaps",
        )
    elif probe.vmas_merge:
        yield CheckRow("VMA merging", "ok", "neighbouring mappings join while merging is on")


def _ksm(host: HostFacts) -> Iterator[CheckRow]:
    if not host.ksm.present:
        yield CheckRow(
            "ksmd",
            "fail",
            "/sys/kernel/mm/ksm is not there: no KSM in this kernel, or /sys is not mounted",
            "mount /sys, or boot a kernel with CONFIG_KSM=y",
        )
        return
    run = host.ksm.run
    if run == 1:
        yield CheckRow("ksmd", "ok", "on (run=1)")
    elif run is None:
        yield CheckRow(
            "ksmd",
            "fail",
            "/sys/kernel/mm/ksm/run does not hold a number",
            "cat /sys/kernel/mm/ksm/run",
        )
    else:
        meaning = "off" if run == 0 else "unmerging"
        yield CheckRow("ksmd", "fail", f"{meaning} (run={run})", "sudo ksmrun host on")
    yield _scan_rate(host)


def _scan_rate(host: HostFacts) -> CheckRow:
    rate, memory_bytes = pages_per_second(host.ksm), host.anonymous_bytes
    if rate is None or memory_bytes is None:
        return CheckRow(
            "scan rate", "warn", "unknown: its files or /proc/meminfo are unreadable", LOOK
        )
    if rate == 0:
        todo = "sudo ksmrun host set pages_to_scan=100"
        return CheckRow("scan rate", "fail", "nothing is scanned: pages_to_scan=0", todo)
    sleep, pages = host.ksm.number("sleep_millisecs"), host.ksm.number("pages_to_scan")
    if whole_core(sleep, pages):
        return CheckRow(
            "scan rate",
            "warn",
            f"ksmd takes a whole core while there is anything to scan: {pages} pages, then a pause "
            f"of {sleep} ms (sleep_millisecs)",
            calmer(sleep, pages, str(host.ksm.values.get("advisor_mode", "none"))) or LOW_ALREADY,
        )
    seconds = memory_bytes / host.ksm.page_bytes / rate
    found = (
        f"at most {rate * host.ksm.page_bytes / MIB:.1f} MiB/s: a full scan of this host's "
        f"{memory_bytes / MIB:.0f} MiB of anonymous memory takes {duration(seconds)}, and "
        "a page merges in its second one at the earliest"
    )
    if host.ksm.values.get("advisor_mode", "none") != "none":
        return CheckRow("scan rate", "ok", found + "; the kernel's advisor changes it as it goes")
    if seconds > SLOW_SCAN_SECONDS:
        return CheckRow("scan rate", "warn", found, "sudo ksmrun host set pages_to_scan=2000")
    return CheckRow("scan rate", "ok", found)


def _memory(host: HostFacts) -> Iterator[CheckRow]:
    limit = host.max_map_count
    if limit is None:
        yield CheckRow("vm.max_map_count", "warn", "unreadable", "mount /proc")
    elif limit < MAX_MAP_COUNT_DEFAULT:
        yield CheckRow(
            "vm.max_map_count",
            "warn",
            f"{limit}, below the kernel's default",
            f"sudo sysctl -w vm.max_map_count={MAX_MAP_COUNT_DEFAULT}",
        )
    else:
        yield CheckRow("vm.max_map_count", "ok", str(limit))
    yield _huge_pages(host)
    yield _swap(host)
    yield _numa(host)


def _huge_pages(host: HostFacts) -> CheckRow:
    item, mode = "huge pages", host.thp_enabled
    if mode == "always":
        return CheckRow(
            item,
            "warn",
            "transparent huge pages are always on: KSM splits only those it finds equal pages in, "
            "and khugepaged may join them again",
            "compare with ksmrun run --thp=off",
        )
    return CheckRow(item, "ok", f"transparent huge pages: {mode or 'none in this kernel'}")


def _swap(host: HostFacts) -> CheckRow:
    if not host.swap_total_bytes:
        return CheckRow("swap", "ok", "none: merged pages that split again need free memory")
    used = host.swap_total_bytes - (host.swap_free_bytes or 0)
    zswap = " with zswap, whose compressed pages do not merge" if host.zswap_enabled else ""
    found = f"{used / MIB:.0f} of {host.swap_total_bytes / MIB:.0f} MiB used{zswap}"
    if used > host.swap_total_bytes // 10:
        return CheckRow(
            "swap", "warn", f"{found}: pages in swap do not merge", "free memory before measuring"
        )
    return CheckRow("swap", "ok", found)


def _numa(host: HostFacts) -> CheckRow:
    across = host.ksm.number("merge_across_nodes")
    nodes = host.numa_nodes
    if nodes is None or nodes == 1:
        return CheckRow("NUMA", "ok", "one memory node" if nodes else "not in this kernel")
    if across == 0:
        return CheckRow(
            "NUMA",
            "warn",
            f"{nodes} nodes, and merge_across_nodes=0: equal pages are kept once per node",
            "sudo ksmrun host set merge_across_nodes=1 (saves more; some reads become remote)",
        )
    return CheckRow("NUMA", "ok", f"{nodes} nodes, merging across them: some reads become remote")


def _place(host: HostFacts) -> Iterator[CheckRow]:
    if host.container is not None and host.ksm_writable:
        yield CheckRow(
            "container", "ok", f"this looks like {host.container}, but KSM can be tuned here"
        )
    elif host.container is not None:
        needs_host = host.ksm.present and host.ksm.run != 1
        yield CheckRow(
            "container",
            "warn" if needs_host else "ok",
            f"inside {host.container}: KSM belongs to the host and is switched on there; `ps` sees "
            "only this container",
            "on the host: sudo ksmrun host on" if needs_host else "",
        )
    else:
        yield CheckRow("container", "ok", "not in one")
    if host.hidepid:
        yield CheckRow(
            "/proc",
            "warn",
            "mounted with hidepid: other users' processes cannot be seen",
            "run `sudo ksmrun ps`",
        )
    yield CheckRow("privileges", "ok", _privileges(host))
    filters: dict[int | None, str] = {0: "no filter", 1: "strict mode", 2: "a filter is installed"}
    # The kernel's row already says whether a filter refuses the prctl.
    yield CheckRow("seccomp", "ok", filters.get(host.seccomp_mode, "unknown"))


def _privileges(host: HostFacts) -> str:
    held = host.capabilities
    capabilities = "unknown" if held is None else f"{len(held)} held" if held else "none"
    writable = "can" if host.ksm_writable else "cannot"
    return (
        f"none needed to launch; capabilities: {capabilities}; "
        f"no_new_privs: {'on' if host.no_new_privs else 'off'}; "
        f"this user {writable} tune KSM"
    )
