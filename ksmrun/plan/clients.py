"""Commands that only ask a daemon to start a program, which then does not merge. Pure.

The merge flag is inherited by fork and exec: it reaches what a command starts itself, but not what
a process that is already running starts for it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath

from ksmrun.model.frozen import dataclass
from ksmrun.plan.client_kinds import INSIDE, KINDS, LAUNCHER, PODMAN, Kind
from ksmrun.plan.command_words import (
    Options,
    all_programs,
    before_plain,
    option_value,
    plain_words,
    subcommand,
)

Environment = Mapping[str, str]
# The launcher before the command that the daemon is to start, our container runtime, or its
# annotations.
ASKED_INSIDE = re.compile(r"(?:^|[\s/;&|'\"(=])ksmrun(?:[-._][a-z._-]+)?(?:$|[\s'\"=])", re.I)


@dataclass(frozen=True)
class Client:
    """Client of a daemon. name: the command; daemon: what starts the program; way: how to merge it.

    socket: it is a client only if somebody listens there. Otherwise the command starts the daemon
    itself, and everything merges; also if the listener merges. process: name of the daemon process
    that forks the program: if it merges, the program does.
    """

    name: str
    daemon: str
    way: str
    socket: PurePosixPath | None = None
    process: str | None = None

    @property
    def found(self) -> str:
        """Finding, as a sentence."""
        return f"{self.name} is a client: {self.daemon} starts the program, which does not merge"


# Commands of tmux that start something. tmux accepts any unique prefix, and these aliases.
TMUX_STARTS = ("new", "split", "respawn", "run", "source", "pipe", "popup", "display-po", "send")
# getopt's string in tmux.c: main().
TMUX_OPTIONS = Options("cfLST")
SCREEN_OPTIONS = Options("cehpsStT")


def find_client(words: Sequence[str], environment: Environment, uid: int) -> Client | None:
    """Return the client that this command is; None if it starts the program itself.

    uid: the user whose sockets are meant.
    """
    # A shell's command may prepare something, or look at it; what starts a program itself counts.
    found = [_find(program, environment, uid) for program in all_programs(words)]
    return found[0] if found and None not in found else None


def _find(words: Sequence[str], environment: Environment, uid: int) -> Client | None:
    name, arguments = PurePosixPath(words[0]).name, words[1:]
    # What is started may be wrapped already, which works.
    if any(map(ASKED_INSIDE.search, arguments)):
        return None
    special = SPECIAL.get(name)
    if special is not None:
        return special(arguments, environment, uid)
    kind = KINDS.get(name)
    return None if kind is None else _client(name, kind, arguments)


def _client(name: str, kind: Kind, arguments: Sequence[str]) -> Client | None:
    # Without subcommands what follows the program is its own.
    own = arguments if kind.starts else before_plain(arguments, kind.with_value)
    options = [word for word in own if word.startswith("-")]
    if set(kind.skip.split()) & set(options) or options[:1] in (["--version"], ["--help"]):
        return None
    if kind.starts and subcommand(arguments, kind.with_value) not in kind.starts.split():
        return None
    way: str | None = kind.way
    if name == "systemctl":
        way = _wrap_unit(plain_words(arguments, kind.with_value), arguments)
    if way is None:
        return None
    place = option_value(own, kind.elsewhere)
    if place is not None:
        return Client(name, f"{kind.daemon} of {place}", f"there, {way}")
    return Client(name, kind.daemon, way, process=kind.process)


def _wrap_unit(plain: Sequence[str], arguments: Sequence[str]) -> str | None:
    """Name the unit in what to do; `enable` starts nothing without --now."""
    if plain[0] in ("enable", "reenable") and "--now" not in arguments:
        return None
    user = " --user" if "--user" in arguments else ""
    sudo = "" if user else "sudo "
    unit = shlex.quote(plain[-1]) if len(plain) > 1 else "NAME"
    return f"{sudo}ksmrun wrap unit{user} --now {unit}"


def _podman(arguments: Sequence[str], environment: Environment, _uid: int) -> Client | None:
    """Return a client only if podman is told to be one; else it starts the container itself.

    See containers/podman: cmd/podman/registry/remote.go.
    """
    asked = ("-r", "--remote", "-c", "--connection", "--url", "-H", "--host")
    command = subcommand(arguments, PODMAN.with_value)
    before = arguments[: list(arguments).index(command)] if command else arguments
    is_told = any(word.partition("=")[0] in asked for word in before)
    is_told |= any(name in environment for name in ("CONTAINER_HOST", "CONTAINER_CONNECTION"))
    if "--remote=false" in before or not is_told:
        return None
    return _client("podman", PODMAN, arguments)


def _tmux(arguments: Sequence[str], environment: Environment, uid: int) -> Client | None:
    """Look for tmux's server, a daemon that the first command on a socket starts (tmux(1))."""
    given, rest = TMUX_OPTIONS.read(arguments)
    if "V" in given or "c" in given or not _tmux_starts(rest):
        return None
    folder = PurePosixPath(environment.get("TMUX_TMPDIR") or "/tmp") / f"tmux-{uid}"
    of_session = environment.get("TMUX", "").partition(",")[0]
    if "S" in given:
        socket = PurePosixPath(given["S"])
    elif "L" not in given and of_session:
        socket = PurePosixPath(of_session)
    else:
        socket = folder / given.get("L", "default")
    daemon = f"the tmux server that already runs at {socket}"
    way = f"tmux new-session -d '{LAUNCHER} PROGRAM', or a server of its own: tmux -L NAME"
    return Client("tmux", daemon, way, socket)


def _tmux_starts(words: Sequence[str]) -> bool:
    """Return whether a command starts something. Words ending in a semicolon separate commands.

    No command means new-session.
    """
    is_first = True
    for word in words:
        if is_first and word.startswith(TMUX_STARTS):
            return True
        is_first = word.endswith(";")
    return not words


def _screen(arguments: Sequence[str], environment: Environment, _uid: int) -> Client | None:
    """Return a client for -X, and for a call within a session (STY) without -m (screen(1)).

    Otherwise each session is a process of its own, which `screen` starts.
    """
    given, _ = SCREEN_OPTIONS.read(arguments)
    is_inside = bool(environment.get("STY")) and "m" not in given and not set("rRx") & set(given)
    if "X" not in given and not is_inside:
        return None
    return Client("screen", "a session that already runs", f"{INSIDE}, or start a session: -dmS")


def _dtach(arguments: Sequence[str], _environment: Environment, _uid: int) -> Client | None:
    """Return a client for -A with a socket that exists, which only attaches (dtach(1))."""
    if arguments[:1] != ["-A"] or len(arguments) < 2:
        return None
    socket = PurePosixPath(arguments[1])
    daemon = f"the dtach that already runs at {socket}"
    return Client(
        "dtach", daemon, "end that one, or run `sudo ksmrun attach PID` with its PID", socket
    )


def _pm2(arguments: Sequence[str], environment: Environment, _uid: int) -> Client | None:
    """Look for pm2's daemon, which its first command starts (PM2_HOME in pm2's paths.js)."""
    if subcommand(arguments, "") not in ("start", "restart", "reload", "resurrect", "scale"):
        return None
    home = environment.get("PM2_HOME") or f"{environment.get('HOME', '')}/.pm2"
    way = f"end it (pm2 kill) and start it by ksmrun run, or {INSIDE} (pm2's --interpreter)"
    return Client("pm2", "pm2's daemon, which already runs,", way, PurePosixPath(home) / "rpc.sock")


def _service(arguments: Sequence[str], _environment: Environment, _uid: int) -> Client | None:
    """Return a client of systemd if that runs; else service(8) runs the init script itself."""
    plain = [word for word in arguments if not word.startswith("-")]
    if len(plain) < 2 or plain[1] not in ("start", "restart", "force-reload"):
        return None
    way = f"sudo ksmrun wrap unit --now {shlex.quote(plain[0])}"
    return Client("service", "systemd", way, PurePosixPath("/run/systemd/private"))


Special = Callable[[Sequence[str], Environment, int], Client | None]
SPECIAL: Mapping[str, Special] = {
    "podman": _podman,
    "tmux": _tmux,
    "screen": _screen,
    "dtach": _dtach,
    "pm2": _pm2,
    **dict.fromkeys(("service", "invoke-rc.d"), _service),
}
# Names of all commands that may be clients.
CLIENTS = (*SPECIAL, *KINDS)
