"""Main loop: sample, judge, act and export, until it is told to stop."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ksmrun.facts.launcher import cached_probe
from ksmrun.host.map_peaks import peaks_file, remember_all
from ksmrun.host.record import own_state_folder
from ksmrun.host.standing import drop_alerts, write_alerts
from ksmrun.model.errors import KsmrunError
from ksmrun.model.launch import MapPeak
from ksmrun.model.watch import WatchState
from ksmrun.watch.actions import Actor
from ksmrun.watch.alerts import AlertBook
from ksmrun.watch.autotune import TICK_SECONDS, AutoTuner
from ksmrun.watch.conditions import conditions
from ksmrun.watch.config import Config
from ksmrun.watch.enforce import Enforcer
from ksmrun.watch.exporter import Exporter
from ksmrun.watch.follow import Follower
from ksmrun.watch.log import Log
from ksmrun.watch.notify import notify, reloading, watchdog_seconds
from ksmrun.watch.scanner import Scanner
from ksmrun.watch.trust import TrustWatch

# Window for what grows or falls over time.
HISTORY_SECONDS = 300.0
SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
PEAKS_INTERVAL_SECONDS = 60.0
# Interval of checking on commands.
PAUSE_SECONDS_MAX = 10.0


def watch(load: Callable[[], Config]) -> None:
    """Run until SIGTERM or SIGINT. load: reads the configuration, again at SIGHUP.

    Raises KsmrunError if the first configuration is invalid, or metrics cannot be exported as it
    says.
    """
    # Before any thread starts, because all of them must leave these to sigtimedwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    monitor = _Monitor(load())
    try:
        number = 0
        while number not in (signal.SIGTERM, signal.SIGINT):
            if number == signal.SIGHUP:
                monitor.reload(load)
            number = monitor.once()
        notify("STOPPING=1")
    finally:
        monitor.close()


class _Monitor:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._exporter = Exporter()
        self._exporter.set_up(config)
        self._scanner = Scanner(config)
        self._log = Log(config.log)
        self._actor = Actor(config, self._log)
        self._book = AlertBook()
        self._states: deque[WatchState] = deque()
        self._next_peaks = 0.0
        self._wrong: dict[str, str] = {}
        # None: not yet, as those of a monitor that was killed may be there.
        self._remembered: tuple[tuple[str, str, str], ...] | None = None
        self._tuner: AutoTuner | None = None
        self._tune(config)
        self._follower: Follower | None = None
        self._follow(config)
        self._trust = TrustWatch(self._log.say)
        self._enforcer = Enforcer(self._trust.again, self._log.say)
        self._pause_seconds = min(PAUSE_SECONDS_MAX, watchdog_seconds() / 3)
        self._due = time.monotonic()

    def once(self) -> int:
        """Take one sample and wait for the next. Return the signal that arrived, or 0."""
        state = self._scanner.sample()
        if self._tuner is not None:
            self._tuner.learn(state)
            state = replace(state, boosts=self._tuner.boosts)
        if self._follower is not None:
            state = replace(state, followed=self._follower.follow())
        state = replace(state, trust=self._trust.look(state))
        self._states.append(state)
        while state.host.seconds - self._states[0].host.seconds > HISTORY_SECONDS:
            self._states.popleft()
        standing = {condition.key for condition in self._book.standing}
        events = self._book.update(conditions(self._states, self._config, standing))
        self._actor.act(events, self._book.standing)
        if self._config.enforce:
            self._enforcer.enforce(state.trust)
        self._say_once("metrics", self._exporter.export(state, self._book))
        if state.host.seconds >= self._next_peaks:
            self._say_once("peaks", _remember_peaks(state))
            self._next_peaks = state.host.seconds + PEAKS_INTERVAL_SECONDS
        self._say_once("alerts", self._remember_alerts())
        # Ready as soon as there is something to export.
        notify(f"READY=1\nWATCHDOG=1\nSTATUS={_status(state, self._book)}")
        return self._wait()

    def reload(self, load: Callable[[], Config]) -> None:
        """Load the configuration again; an invalid file changes nothing and is reported."""
        notify(reloading())
        try:
            config = load()
            self._exporter.set_up(config)
        except KsmrunError as error:
            self._log.say("error", f"the configuration was not reloaded: {error}")
            return
        self._config = self._scanner.config = self._actor.config = config
        self._log.form = config.log
        try:
            self._tune(config)
            self._follow(config)
        except KsmrunError as error:
            self._log.say("error", f"the configuration is only partly in use: {error}")
        self._log.say("info", "reloaded")

    def _remember_alerts(self) -> str:
        """Write the alerts for `ksmrun status` if they changed. Return the error."""
        # With their texts: the figures in them are of the last sample.
        alerts = tuple((each.kind, each.what, each.todo) for each in self._book.standing)
        folder = own_state_folder()
        if folder is None or alerts == self._remembered:
            return ""
        try:
            write_alerts(folder, alerts)
        except OSError as error:
            return f"cannot write {folder}: {error.strerror}; `ksmrun status` shows no alerts"
        self._remembered = alerts
        return ""

    def close(self) -> None:
        folder = own_state_folder()
        if folder is not None:
            with suppress(OSError, KsmrunError):
                drop_alerts(folder)
        if self._tuner is not None:
            self._tuner.close()
        self._exporter.close()
        self._scanner.close()

    def _say_once(self, of: str, wrong: str) -> None:
        before = self._wrong.get(of, "")
        if wrong and wrong != before:
            self._log.say("error", wrong)
        elif before and not wrong:
            self._log.say("info", f"{of} can be written again")
        self._wrong[of] = wrong

    def _tune(self, config: Config) -> None:
        if self._tuner is not None and not config.tunes:
            self._tuner.close()
            self._tuner = None
        elif self._tuner is not None:
            self._tuner.configure(config)
        elif config.tunes:
            self._tuner = AutoTuner(config, self._log.say)
        for name in config.without_auto:
            self._log.say("warning", f"{name} has no effect without --auto; to do: add --auto")

    def _follow(self, config: Config) -> None:
        if not config.follow:
            self._follower = None
        elif self._follower is None and cached_probe().prctl_supported:
            self._log.say(
                "info",
                "--follow has nothing to do: on this kernel, memory that a program maps "
                "later merges too",
            )
        elif self._follower is None:
            self._follower = Follower(self._log.say)

    def _wait(self) -> int:
        """Wait on a grid of the monotonic clock; samples missed (a suspend) are not made up for."""
        interval = self._config.interval_seconds
        now = time.monotonic()
        self._due = max(self._due + interval, now)
        if self._due > now + interval:
            self._due = now + interval
        while True:
            left = self._due - time.monotonic()
            # In between, check on commands, set the rate and notify the watchdog.
            pause = self._pause_seconds if self._tuner is None else TICK_SECONDS
            found = signal.sigtimedwait(SIGNALS, max(min(left, pause), 0.0))
            if found is not None:
                return found.si_signo
            self._actor.reap()
            if self._tuner is not None and self._tuner.tick():
                return 0
            if time.monotonic() >= self._due:
                return 0
            notify("WATCHDOG=1")


def _status(state: WatchState, book: AlertBook) -> str:
    saved = state.host.ksm.merged_bytes >> 20
    text = f"{len(state.processes)} processes, {saved} MiB merged, {len(book.standing)} alerts"
    followed = state.followed
    if followed is not None:
        text += f", {followed.processes} followed for {followed.cpu_seconds:.1f} s of CPU time"
    return text


def _remember_peaks(state: WatchState) -> str:
    """Save peaks by program, for the guard of later launches. Return the error; empty for none."""
    peaks: dict[str, MapPeak] = {}
    for process in state.processes:
        program, count = process.program, process.count
        if program is None or count is None:
            continue
        best = peaks.get(program)
        if best is None or best.maps < count.maps:
            peaks[program] = MapPeak("the monitor", count.maps, None)
    file: Path | None = peaks_file()
    try:
        if file is not None and peaks:
            remember_all(file, peaks)
    except OSError as error:
        return f"cannot write {file}: {error.strerror}; later launches do not know these peaks"
    except KsmrunError as error:
        return str(error)
    return ""
