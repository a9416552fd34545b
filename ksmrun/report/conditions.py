"""Conditions of a result: host, scan rate, map limit, exact commands. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ksmrun.report.results import Saved
from ksmrun.support.units import GIB, MIB


@dataclass(frozen=True)
class Maps:
    """Highest VMA count of a process of the arm, and the kernel's limit (None: unknown)."""

    arm: str
    most: int
    limit: int | None

    @property
    def text(self) -> str:
        """Text for people."""
        if not self.limit:
            return f"{self.arm}: at most {self.most}"
        return f"{self.arm}: at most {self.most} of {self.limit} ({self.most / self.limit:.1%})"


def scan_rate(host: Mapping[str, Any]) -> str | None:
    """Return ksmd's scan rate, which determines speed and cost of saving; None: unknown."""
    ksm = host.get("ksm") or {}
    if ksm.get("advisor_mode", "none") != "none":
        return f"a rate that its advisor chose ({ksm['advisor_mode']})"
    pages, sleep = ksm.get("pages_to_scan"), ksm.get("sleep_millisecs")
    if not isinstance(pages, int) or not isinstance(sleep, int):
        return None
    return f"{pages} pages each {sleep} ms" if sleep else f"{pages} pages at a time without a rest"


def scan_bytes_per_second(host: Mapping[str, Any]) -> float | None:
    """Return an upper bound, without the time of scanning itself. None if there is no limit."""
    ksm = host.get("ksm") or {}
    pages, sleep = ksm.get("pages_to_scan"), ksm.get("sleep_millisecs")
    if ksm.get("advisor_mode", "none") != "none" or not isinstance(pages, int):
        return None
    if not isinstance(sleep, int) or sleep == 0:
        return None
    return float(pages * host["page_bytes"] * 1000 / sleep)


def maps(saved: Saved) -> list[Maps]:
    """Return the VMA counts of each arm for which there are any."""
    limits = [int(host["max_map_count"]) for host in saved.hosts if host.get("max_map_count")]
    found = []
    for arm in saved.arms:
        counts = [each["maps_max"] for each in saved.rounds[arm] if "maps_max" in each]
        if counts:
            found.append(Maps(arm, round(max(counts)), min(limits, default=None)))
    return found


def facts(saved: Saved) -> list[tuple[str, str]]:
    """Return facts of the plan and hosts; where hosts differ, each value once."""
    plan = saved.plan
    rows = [
        ("copies", str(plan["copies"])),
        ("whole rounds", str(saved.round_count)),
        ("ready by", f"--ready-{plan['ready']['kind']} {plan['ready']['value']}"),
        ("between starts", f"{plan['stagger_seconds']:g} s"),
        ("warm-up, hold", f"{plan['warm_up_seconds']:g} s, {plan['hold_seconds']:g} s"),
        ("page cache", "emptied before each turn" if plan["drops_caches"] else "left as it was"),
        ("KSM scans", _each(saved.hosts, _scan_text)),
        ("KSM set to", _each(saved.hosts, _tunables)),
        ("while measuring", " ".join(_pairs(plan.get("hold_tunables", {}))) or "the same"),
    ]
    for name, read in HOST_ROWS.items():
        rows.append((name, _each(saved.hosts, read)))
    return rows


HOST_ROWS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "started": lambda host: str(host["started"]),
    "kernel": lambda host: str(host["kernel"]),
    "host": lambda host: f"{host['cpus']} CPUs, {(host['mem_total_bytes'] or 0) / GIB:.0f} GiB",
    "swap": lambda host: f"{(host['swap_total_bytes'] or 0) / MIB:.0f} MiB",
    "huge pages": lambda host: str(host["thp_enabled"]),
    "vm.max_map_count": lambda host: str(host["max_map_count"]),
    "ksmrun": lambda host: str(host["ksmrun"]),
}
# The other files in KSM's folder are counters.
SHOWN = (
    *("use_zero_pages", "smart_scan", "max_page_sharing", "merge_across_nodes"),
    *("advisor_mode", "pages_to_scan", "sleep_millisecs"),
)


def commands(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (what, command line) for the experiment, each arm, the loads and the metrics."""
    found = [("this experiment", shlex.join(_ab_line(plan)))]
    for arm in plan["arms"]:
        line = ["ksmrun", "run", *arm["options"], "--", *plan["command"]]
        found.append((f"arm {arm['name']}", shlex.join(line)))
        launched = ["ksmrun-exec", *arm["launcher_options"], "--", *plan["command"]]
        found.append((f"arm {arm['name']}, as launched", shlex.join(launched)))
    return found


def _ab_line(plan: Mapping[str, Any]) -> list[str]:
    """Return the command line that repeats the experiment."""
    words = ["ksmrun", "ab", f"--copies={plan['copies']}", f"--rounds={plan['rounds']}"]
    words += [f"--arm={arm['name']}={shlex.join(arm['options'])}" for arm in plan["arms"]]
    words += [f"--ready-{plan['ready']['kind']}={plan['ready']['value']}"]
    words += [f"--ready-timeout={plan['ready']['timeout_seconds']:g}"]
    words += [f"--{name.replace('_', '-')}={plan[name]}" for name in LOADS if plan[name]]
    for metric in plan["metrics"]:
        option = "--metric" if metric["kind"] == "output" else "--metric-cmd"
        words.append(f"{option}={metric['name']}={metric['value']}")
    words += [f"--primary={plan['primary']}"]
    words += [f"{option}={plan[name]:g}" for option, name in TIMES.items()]
    words += ["--drop-caches"] if plan["drops_caches"] else []
    words += [f"--ksm={name}={value}" for name, value in plan["tunables"].items()]
    held = plan.get("hold_tunables", {})
    words += [f"--hold-ksm={name}={value}" for name, value in held.items()]
    return [*words, "--", *plan["command"]]


LOADS = ("load", "fleet_load")
TIMES = {
    "--hold": "hold_seconds",
    "--warm-up": "warm_up_seconds",
    "--settle-max": "settle_seconds_max",
    "--stagger": "stagger_seconds",
}


def _each(hosts: Sequence[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], str]) -> str:
    return "; ".join(dict.fromkeys(read(host) for host in hosts))


def _scan_text(host: Mapping[str, Any]) -> str:
    rate, size = scan_rate(host), scan_bytes_per_second(host)
    if rate is None:
        return "-"
    return rate if size is None else f"{rate}: at most {size / MIB:.0f} MiB/s"


def _pairs(settings: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in settings.items()]


def _tunables(host: Mapping[str, Any]) -> str:
    ksm = host.get("ksm") or {}
    return " ".join(f"{name}={ksm[name]}" for name in SHOWN if name in ksm) or "-"
