"""Actions on an alert: a log line, a command, a higher map limit."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence

from ksmrun.facts.ksm import ROOT
from ksmrun.facts.text import read_int
from ksmrun.host.record import state_folder
from ksmrun.host.tunables import MAX_MAP_COUNT, set_max_map_count
from ksmrun.model.errors import KsmrunError
from ksmrun.model.watch import Condition, Event
from ksmrun.support.paste import pasteable
from ksmrun.support.words import printable
from ksmrun.watch.config import Config
from ksmrun.watch.log import Log

# Commands that may hang: no more than this many run at once, and none for longer than this.
COMMANDS_MAX = 8
COMMAND_SECONDS = 60.0
# Characters per variable: execve(2) accepts at most 128 KiB each.
WORD_MAX = 1000


class Actor:
    """Performs what the configuration says for each event."""

    def __init__(self, config: Config, log: Log) -> None:
        self.config, self.log = config, log
        self._refused = ""
        self._commands: list[tuple[float, subprocess.Popen[bytes]]] = []

    def act(self, events: Sequence[Event], standing: Sequence[Condition]) -> None:
        """Log each event and run the command; raise the map limit if a standing alert needs it.

        The limit is raised once for all alerts that need it, and again if they have outgrown it.
        """
        for event in events:
            self._log(event)
            self._run(event)
        self._raise_limit(standing)

    def _log(self, event: Event) -> None:
        condition = event.condition
        text = f"{condition.kind}: {condition.what}; {condition.todo}"
        if not event.raised:
            text = f"{condition.kind}: over for {condition.subject}"
        state = "raised" if event.raised else "cleared"
        facts = {"kind": condition.kind, "state": state, "subject": condition.subject}
        self.log.say("warning" if event.raised else "info", text, **facts, **condition.facts)

    def _run(self, event: Event) -> None:
        self.reap()
        if not self.config.command:
            return
        if len(self._commands) >= COMMANDS_MAX:
            self.log.say(
                "error",
                f"{COMMANDS_MAX} commands of --on-alert are still running, so none is started "
                f"for {event.condition.kind} of {event.condition.subject}; check why they do "
                "not end",
            )
            return
        condition = event.condition
        words = {
            "KIND": condition.kind,
            "STATE": "raised" if event.raised else "cleared",
            "SUBJECT": condition.subject,
            "MESSAGE": condition.what,
            "TODO": pasteable(condition.todo),
            **{key.upper(): value for key, value in condition.facts.items()},
        }
        # In a mail, a line feed in a name would start another header.
        environment = {
            f"KSMRUN_ALERT_{key}": printable(value)[:WORD_MAX] for key, value in words.items()
        }
        try:
            process = subprocess.Popen(
                self.config.command,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **environment},
                start_new_session=True,
                # Blocked in the monitor, which waits for these signals by sigtimedwait.
                preexec_fn=_unblock_all,
            )
        except (OSError, ValueError) as error:
            self.log.say("error", f"cannot start --on-alert: {error}; check {self.config.on_alert}")
        else:
            self._commands.append((time.monotonic(), process))

    def reap(self) -> None:
        """Reap commands that have ended, and kill those that take too long."""
        left = []
        for started, process in self._commands:
            if process.poll() is not None:
                if process.returncode:
                    self.log.say(
                        "error",
                        "the command of --on-alert failed with exit code "
                        f"{process.returncode}; run "
                        "it by hand to see why",
                    )
                continue
            took = time.monotonic() - started
            if took < COMMAND_SECONDS or not self._kill(process):
                left.append((started, process))
        self._commands = left

    def _kill(self, process: subprocess.Popen[bytes]) -> bool:
        """Kill a command; False if not permitted, as for a command that sudo started."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except PermissionError:
            return False
        process.wait()
        self.log.say(
            "error",
            f"the command of --on-alert was killed after {COMMAND_SECONDS:.0f} s; check "
            "why it does not end",
        )
        return True

    def _raise_limit(self, standing: Sequence[Condition]) -> None:
        most = self.config.raise_map_count_to
        wanted = [int(each.facts["wanted"]) for each in standing if each.kind == "map-headroom"]
        now = read_int(ROOT / MAX_MAP_COUNT)
        if most is None or not wanted or now is None or now >= max(wanted):
            return
        limit, refused = min(max(wanted), most), ""
        if limit <= now:
            refused = (
                f"vm.max_map_count is {now}, and --raise-map-count-to={most} allows no more; "
                "give it a larger number"
            )
        else:
            try:
                line = set_max_map_count(limit, state_folder() / "host.json", ROOT)
                self.log.say("info", f"{line}; `sudo ksmrun host restore` puts it back")
            except KsmrunError as error:
                refused = str(error)
        # The alert still stands, so this is tried again with each sample.
        if refused and refused != self._refused:
            self.log.say("error", refused)
        self._refused = refused


def _unblock_all() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
