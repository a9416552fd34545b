"""Set ksmd's rate for the monitor, as watch/tuner.py decides; restore the old one at the end."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.ksmd import find_ksmd
from ksmrun.facts.text import kib_fields, parse_fields, parse_int, read_text
from ksmrun.host.auto import LOCK, take_tuning
from ksmrun.host.lock import unlock
from ksmrun.host.other_tuners import advisor, running_tuners
from ksmrun.host.record import prepare, state_folder
from ksmrun.host.temporary_tunables import borrowed, record_of, restore_abandoned
from ksmrun.host.tunables import set_tunables
from ksmrun.model.errors import KsmrunError
from ksmrun.model.ksm import KsmFacts
from ksmrun.model.watch import WatchState
from ksmrun.observe.fleet import pressure_seconds
from ksmrun.observe.sampler import cpu_seconds
from ksmrun.observe.scan_rate import known_pages
from ksmrun.options.monitor import Auto
from ksmrun.watch.config import Config
from ksmrun.watch.shortage import MemoryLook, Shortage, judged
from ksmrun.watch.tuner import GROWTH_BYTES_MIN, step
from ksmrun.watch.tuner_state import Look, Mode, State

# Time between steps, and between two samples of all processes because memory grew.
TICK_SECONDS = 1.0
SAMPLE_SECONDS_MIN = 2.0
REST_TICK_SECONDS = 15.0
# Seconds between attempts: a full disk has space again, another tuner ends.
RETRY_SECONDS = 15.0
Say = Callable[[str, str], None]


class AutoTuner:
    """Tuner. Call tick() each TICK_SECONDS, learn() with each sample, close() at the end."""

    def __init__(self, config: Config, say: Say) -> None:
        self._config = config
        self._say = say
        self._shortage: Shortage | None = None
        self._ksmd = find_ksmd()
        self._state: State | None = None
        self._seen: set[tuple[int, int]] = set()
        self._started = 0
        self._anonymous_bytes = 0
        self._host_anonymous_bytes = _host_anonymous_bytes()
        self._sampled_at = 0.0
        self._written: dict[str, str] = {}
        self._told: frozenset[str] = frozenset()
        self._wrong = ""
        self._retry_at = 0.0
        self._stack = ExitStack()
        self._is_begun = False
        folder = state_folder()
        self._lock = take_tuning(folder)
        try:
            for line in restore_abandoned(folder, ROOT):
                say("info", f"left by an earlier run: {line}")
            if self._ksmd is None:
                say(
                    "error",
                    "not tuning: ksmd is not visible here; run the monitor on the host itself",
                )
            else:
                self._guarded(self._begin)
        except BaseException:
            unlock(self._lock, folder / LOCK)
            raise

    @property
    def boosts(self) -> bool:
        """Return whether ksmd is set to its fast rate now, or will be soon as programs start."""
        return self._state is not None and self._state.mode is not Mode.REST

    @property
    def _waits(self) -> bool:
        """Return whether somebody else's values are set."""
        return bool(self._told)

    def learn(self, state: WatchState) -> None:
        """Take over from a sample of all processes what merges now."""
        merging = [each for each in state.processes if each.enabled_by is not None]
        keys = {(each.identity.pid, each.identity.start_ticks or 0) for each in merging}
        self._started += len(keys - self._seen)
        self._seen = keys
        self._anonymous_bytes = sum(each.anonymous_bytes or 0 for each in merging)
        self._host_anonymous_bytes = _host_anonymous_bytes()
        self._sampled_at = state.host.seconds

    def tick(self) -> bool:
        """Set the rate. True if memory has grown and a sample should find out whose."""
        if self._ksmd is None or time.monotonic() < self._retry_at:
            return False
        if not self._guarded(self._step if self._is_begun else self._begin):
            return False
        grown = _host_anonymous_bytes() - self._host_anonymous_bytes
        rested = time.monotonic() - self._sampled_at
        return grown > GROWTH_BYTES_MIN and rested >= SAMPLE_SECONDS_MIN

    def configure(self, config: Config) -> None:
        """Take another configuration, and continue from what somebody else has set meanwhile."""
        before, self._config = self._config, config
        if config.auto is not before.auto:
            self._shortage = None
        if config.thread != before.thread:
            # The next tick begins with the new ones.
            self._put_back()
        if self._waits:
            self._written, self._told = {}, frozenset()
            self._say("info", "tuning continues")

    def close(self) -> None:
        """Restore the values from before."""
        self._put_back()
        unlock(self._lock, state_folder() / LOCK)

    def _guarded(self, work: Callable[[], None]) -> bool:
        """Return whether it was done. An obstacle is reported once, and the work is retried later.

        Until then ksmd has the rate that it had before.
        """
        try:
            work()
        except (KsmrunError, OSError) as error:
            self._put_back()
            self._retry_at = time.monotonic() + RETRY_SECONDS
            if str(error) != self._wrong:
                self._say("error", f"not tuning: {error}; tried again every {RETRY_SECONDS:.0f} s")
            self._wrong = str(error)
            return False
        return True

    def _begin(self) -> None:
        others = [*running_tuners(), *advisor(ROOT)]
        if others:
            raise KsmrunError(others[0].what, others[0].todo)
        self._stack.enter_context(borrowed({}))
        prepare(record_of(), ROOT)
        thread = self._config.thread
        if thread:
            set_tunables(thread, record_of(), ROOT)
        self._is_begun, self._wrong = True, ""
        while_ = "there is work"
        if self._config.auto is Auto.PRESSURE:
            while_ = "memory is short"
        self._say(
            "info",
            f"tuning ksmd: up to {self._config.auto_max_cpu:.0%} of a core while {while_}"
            + "".join(f"; {name}={value}" for name, value in thread.items()),
        )

    def _put_back(self) -> None:
        self._stack.close()
        self._is_begun, self._told = False, frozenset()
        self._state, self._written = None, {}

    def _step(self) -> None:
        ksm = read_ksm(ROOT)
        if ksm.run != 1 or self._is_taken(ksm):
            self._state = None
            return
        look = self._look(ksm)
        if self._state is None:
            self._state = State(look, cap_share=self._config.auto_max_cpu)
            self._set(_rate(self._state))
            return
        waited = look.seconds - self._state.look.seconds
        is_quiet = self._state.mode is Mode.REST and (
            look.started <= self._state.settled_started or not look.is_wanted
        )
        is_quiet &= look.is_wanted is self._state.look.is_wanted
        if is_quiet and waited < REST_TICK_SECONDS and not self._has_grown(look):
            return
        self._state, said = step(self._state, look, self._config.auto_max_cpu)
        wanted = _rate(self._state)
        # With smart_scan an old page is scanned in every ninth full scan only, and may never meet a
        # new one.
        skips = self._state.skips
        if "smart_scan" in self._written or (not skips and ksm.number("smart_scan") == 1):
            wanted["smart_scan"] = str(int(skips))
        self._set(wanted)
        if said:
            self._say("info", f"{said}; pages_to_scan={self._state.rate}")

    def _has_grown(self, look: Look) -> bool:
        assert self._state is not None
        return look.anonymous_bytes - self._state.look.anonymous_bytes > GROWTH_BYTES_MIN

    def _look(self, ksm: KsmFacts) -> Look:
        assert self._ksmd is not None
        fields = _memory_fields()
        return Look(
            seconds=time.monotonic(),
            page_bytes=ksm.page_bytes,
            full_scans=ksm.full_scans or 0,
            merged_pages=ksm.merged_pages or 0,
            known_pages=known_pages(ksm),
            ksmd_cpu_seconds=cpu_seconds(self._ksmd),
            pressure_seconds=pressure_seconds("cpu"),
            anonymous_bytes=self._anonymous_bytes,
            started=self._started,
            is_wanted=self._is_wanted(fields),
            scanned_pages=_visited_pages(ksm),
            available_bytes=fields["MemAvailable"],
        )

    def _is_wanted(self, fields: Mapping[str, int | None]) -> bool:
        """Return whether merging may take CPU time now; with --auto=pressure if memory is short."""
        if self._config.auto is not Auto.PRESSURE:
            return True
        look = MemoryLook(
            time.monotonic(),
            fields["MemTotal"],
            fields["MemAvailable"],
            pressure_seconds("memory"),
        )
        self._shortage, said = judged(self._shortage, look, self._config.auto_below)
        if said:
            self._say("info", said)
        return self._shortage.is_short

    def _is_taken(self, ksm: KsmFacts) -> bool:
        """Return whether somebody else changed what was set here, as an experiment does."""
        taken = [name for name, ours in self._written.items() if str(ksm.values.get(name)) != ours]
        if not self._told.issuperset(taken):
            found = " and ".join(f"{name} to {ksm.values.get(name)}" for name in taken)
            ours = " ".join(f"{name}={self._written[name]}" for name in taken)
            self._say(
                "warning",
                f"another program or user set {found}, so tuning pauses; to do: "
                f"sudo ksmrun host set {ours}, or SIGHUP to continue from what is set; to "
                "keep it: end the monitor, or start it without --auto",
            )
        elif self._waits and not taken:
            self._say("info", "tuning continues")
        self._told = frozenset(taken)
        return self._waits

    def _set(self, wanted: dict[str, str]) -> None:
        changed = {
            name: value for name, value in wanted.items() if self._written.get(name) != value
        }
        if changed:
            set_tunables(changed, record_of(), ROOT)
            self._written |= changed


def _rate(state: State) -> dict[str, str]:
    return {
        "pages_to_scan": str(state.rate),
        "sleep_millisecs": str(state.sleep_millisecs),
    }


def _visited_pages(ksm: KsmFacts) -> int | None:
    """Return the pages scanned or skipped since boot; None before 6.7."""
    scanned = ksm.pages_scanned
    return None if scanned is None else scanned + (ksm.number("pages_skipped") or 0)


def _memory_fields() -> dict[str, int | None]:
    return kib_fields(read_text(ROOT / "proc/meminfo") or "", ("MemTotal", "MemAvailable"))


def _host_anonymous_bytes() -> int:
    """Return the anonymous memory of all programs, at a hundredth of the cost of reading each."""
    fields = parse_fields(read_text(ROOT / "proc/vmstat") or "")
    return (parse_int(fields.get("nr_anon_pages", "")) or 0) * resource.getpagesize()
