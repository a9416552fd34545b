"""Simulate users of the game servers: each logs in, then walks, looks and takes things.

python3 users.py --users N --servers N --first-port N [--pause S] [--arrive S] [--window S] KIND...

Four times a window it prints statistics of the last --window seconds, and once more on SIGTERM or
SIGINT, which end it. Latency counts from the
moment at which a request was due, so a slow server cannot hide it by delaying later requests.
"""

from __future__ import annotations

import argparse
import bisect
import heapq
import random
import selectors
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STEP_TILES = 3
SLOTS = 1_000_000


@dataclass(slots=True)
class User:
    """One connection. wanted_seconds: when the pending request was due; None without one."""

    number: int
    connection: socket.socket
    wanted_seconds: float | None = None


class Players:
    """All users, in one event loop."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.words = words(options.kind)
        self.random = random.Random(options.users)
        self.selector = selectors.DefaultSelector()
        self.users: dict[int, User] = {}
        started = time.monotonic()
        # When each user acts next; arriving is the first action.
        self.due = [
            (started + options.arrive * number / options.users, number)
            for number in range(options.users)
        ]
        self.times: list[float] = []
        self.delays: list[float] = []
        self.is_over = False

    def play(self) -> None:
        """Run until SIGTERM or SIGINT, and print the statistics four times a window."""
        step = self.options.window / 4
        due = time.monotonic() + self.options.window
        while not self.is_over:
            now = time.monotonic()
            if now >= due:
                print(self.summary(), flush=True)
                due = now + step
            while self.due and self.due[0][0] <= now:
                wanted, number = heapq.heappop(self.due)
                self.act(number, wanted)
            until = min(due, self.due[0][0]) if self.due else due
            for key, _ in self.selector.select(max(0.0, until - time.monotonic())):
                self.hear(key.data)

    def act(self, number: int, wanted: float) -> None:
        """Send the user's next request."""
        user = self.users.get(number)
        if user is None:
            port = self.options.first_port + number % self.options.servers
            user = User(number, socket.create_connection(("127.0.0.1", port)))
            user.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.users[number] = user
            self.selector.register(user.connection, selectors.EVENT_READ, user)
            request = f"login user-{number}"
        else:
            request = self.request()
        user.wanted_seconds = wanted
        user.connection.sendall(request.encode() + b"\n")

    def request(self) -> str:
        """Return a random request: half of them walk, a third look, the rest take."""
        kind, word = self.random.random(), self.random.choice(self.words)
        if kind < 1 / 2:
            x, y = (self.random.randint(-STEP_TILES, STEP_TILES) for _ in "xy")
            return f"go {x} {y}"
        if kind < 5 / 6:
            return f"look {word}"
        return f"take {self.random.randrange(SLOTS)} {word}"

    def hear(self, user: User) -> None:
        """Receive an answer; each is short enough for one call."""
        answer = user.connection.recv(1 << 16)
        if not answer or answer == b"what?\n" or user.wanted_seconds is None:
            raise SystemExit(f"users.py: user {user.number} was answered {answer!r}")
        if not answer.endswith(b"\n"):
            return
        now = time.monotonic()
        self.times.append(now)
        self.delays.append(now - user.wanted_seconds)
        user.wanted_seconds = None
        pause = self.random.expovariate(1 / self.options.pause)
        heapq.heappush(self.due, (now + pause, user.number))

    def summary(self) -> str:
        """Return the statistics of the last window."""
        window = self.options.window
        first = bisect.bisect_left(self.times, time.monotonic() - window)
        del self.times[:first], self.delays[:first]
        delays = sorted(self.delays)
        if not delays:
            return "throughput: 0"
        p50, p99 = (1000 * delays[int(len(delays) * share)] for share in (0.5, 0.99))
        rate = len(delays) / window
        return f"throughput: {rate:.1f} p50_ms: {p50:.3f} p99_ms: {p99:.3f}"


def words(kinds: Sequence[str]) -> list[str]:
    """Return the words that the servers know."""
    found = []
    for kind in kinds:
        for line in Path(f"/usr/share/wordnet/data.{kind}").read_text().splitlines():
            if not line.startswith(" "):
                found.append(line.split(maxsplit=5)[4].lower())
    return found


def main() -> int:
    """Run the users. Return the exit code."""
    parser = argparse.ArgumentParser(description="Users of the game servers.")
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--servers", type=int, required=True)
    parser.add_argument("--first-port", type=int, required=True)
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between requests")
    parser.add_argument("--arrive", type=float, default=10.0, help="seconds until all are there")
    parser.add_argument("--window", type=float, default=10.0, help="seconds that count")
    parser.add_argument("kind", nargs="+", help="of WordNet, as the servers have")
    players = Players(parser.parse_args())

    def end(_number: int, _frame: object) -> None:
        players.is_over = True
        # Interrupts a wait that may be long.
        raise InterruptedError

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        players.play()
    except InterruptedError:
        pass
    except OSError as error:
        print(f"users.py: {error}; do the servers run?", file=sys.stderr)
        return 1
    print(players.summary(), f"users: {len(players.users)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
