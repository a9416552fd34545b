"""Game server with a world, tables of things, and separate state for each user.

python3 server.py PORT WORLD ITEMS_OF_A_USER KIND...        KIND: of WordNet, adj, adv, verb, noun

Each line from a user is answered by one line: login NAME | go X Y | look WORD | take SLOT WORD
"""

from __future__ import annotations

import selectors
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

FOLDER, TILE_BYTES = Path("/usr/share/wordnet"), 4


@dataclass(slots=True)
class Thing:
    """Meaning of a word in WordNet, with links to others. Its text stays in the file's memory."""

    kind: str
    place: int
    price: int
    link_ids: list[str]
    links: list[Thing] = field(default_factory=list)


@dataclass(slots=True)
class Item:
    """Item that a user has."""

    thing: Thing
    count: int
    wear: int
    since: int


class Game:
    """Data that is loaded once."""

    def __init__(self, world: Path, items_of_user: int, kinds: list[str]) -> None:
        self.world = world.read_bytes()
        self.texts: dict[str, bytes] = {}
        self.things: dict[str, Thing] = {}
        self.named: dict[str, list[Thing]] = {}
        self.items_of_user = items_of_user
        for kind in kinds:
            self._load(kind)
        for thing in self.things.values():
            thing.links = [self.things[id] for id in thing.link_ids if id in self.things]
            thing.link_ids = []
        self.order = list(self.things.values())

    def _load(self, kind: str) -> None:
        file = FOLDER / f"data.{kind}"
        self.texts[kind] = file.read_bytes()
        place = 0
        with file.open("rb") as lines:
            for line in lines:
                if not line.startswith(b" "):
                    self._add(kind, place, line.decode())
                place += len(line)

    def _add(self, kind: str, place: int, line: str) -> None:
        fields = line.partition(" | ")[0].split()
        words_end = 4 + 2 * int(fields[3], 16)
        links_end = words_end + 1 + 4 * int(fields[words_end])
        links = [fields[at + 2] + fields[at + 1] for at in range(words_end + 1, links_end, 4)]
        thing = Thing(kind, place, len(line), links)
        self.things[fields[2].replace("s", "a") + fields[0]] = thing
        for word in fields[4:words_end:2]:
            self.named.setdefault(word.lower(), []).append(thing)


class User:
    """Connection of one user."""

    def __init__(self, game: Game, connection: socket.socket) -> None:
        self.game, self.connection = game, connection
        self.items: list[Item] = []
        self.tile = 0
        self.partial = b""

    def serve(self) -> bool:
        """Answer the requests that have arrived; return False if the user has left."""
        data = self.connection.recv(4096)
        *lines, self.partial = (self.partial + data).split(b"\n")
        for line in lines:
            self.connection.sendall(self.answer(line.decode().split()) + b"\n")
        return data != b""

    def answer(self, words: list[str]) -> bytes:
        match words:
            case ["login", name]:
                return self.login(name)
            case ["go", x, y] if self.items:
                tiles = len(self.game.world) // TILE_BYTES
                self.tile = (self.tile + int(x) + 1000 * int(y)) % tiles
                return b"tile %d" % self.game.world[self.tile * TILE_BYTES]
            case ["look", word] if self.items and word in self.game.named:
                return self.look(self.game.named[word][0])
            case ["take", slot, word] if self.items and word in self.game.named:
                return self.take(int(slot), self.game.named[word][0])
        return b"what?"

    def login(self, name: str) -> bytes:
        # Stands for the user's saved state; here it is derived from the name.
        seed = 0
        for byte in name.encode():
            seed = (seed * 31 + byte) % 2147483647
        for slot in range(1, self.game.items_of_user + 1):
            seed = (seed * 48271 + 11) % 2147483647
            thing = self.game.order[seed % len(self.game.order)]
            self.items.append(Item(thing, seed % 99, seed, seed * slot))
        return b"welcome"

    def look(self, thing: Thing) -> bytes:
        linked = thing.links[0] if thing.links else thing
        text = self.game.texts[linked.kind]
        return text[text.index(b"| ", linked.place) + 2 : text.index(b"\n", linked.place)]

    def take(self, slot: int, thing: Thing) -> bytes:
        item = self.items[slot % len(self.items)]
        item.thing, item.count = thing, item.count + 1
        item.wear, item.since = item.wear * 48271 % 2147483647, item.since + 1
        return b"taken for %d" % thing.price


def main() -> None:
    """Serve until killed."""
    port, world, items_of_user, *kinds = sys.argv[1:]
    game = Game(Path(world), int(items_of_user), kinds)
    server = socket.create_server(("127.0.0.1", int(port)), backlog=256)
    selector = selectors.DefaultSelector()
    selector.register(server, selectors.EVENT_READ)
    # In one write: all servers of a group write to one file.
    sys.stdout.write(f"ready {port}\n")
    sys.stdout.flush()
    while True:
        for key, _ in selector.select():
            if key.data is None:
                connection, _ = server.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ, User(game, connection))
            elif not key.data.serve():
                selector.unregister(key.data.connection)
                key.data.connection.close()


if __name__ == "__main__":
    main()
