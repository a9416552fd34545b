"""Load WordNet into memory as a graph, then stay idle."""

from __future__ import annotations

import re
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

KINDS = {"v": "verb", "a": "adj", "s": "adj", "r": "adv"}


@dataclass
class Synset:
    id: str
    words: list[str]
    gloss: str
    link_ids: list[tuple[str, str]]
    links: list[tuple[str, Synset]] = field(default_factory=list)
    depth: int | None = None


synsets: dict[str, Synset] = {}
index: dict[str, list[Synset]] = {}
counts: dict[str, int] = {}


def read(kind: str, line: str) -> None:
    data, gloss = line.rstrip().split(" | ", 1)
    fields = data.split(" ")
    words_end = 4 + 2 * int(fields[3], 16)
    links_end = words_end + 1 + 4 * int(fields[words_end])
    links = [
        (fields[at], KINDS.get(fields[at + 2], "noun") + fields[at + 1])
        for at in range(words_end + 1, links_end, 4)
    ]
    synset = Synset(kind + fields[0], fields[4:words_end:2], gloss, links)
    synsets[synset.id] = synset
    for word in synset.words:
        index.setdefault(word.lower(), []).append(synset)
    for word in re.findall("[a-z]+", gloss.lower()):
        counts[word] = counts.get(word, 0) + 1


def depth(synset: Synset) -> int:
    if synset.depth is None:
        # WordNet 3.0 has a cycle of two verbs.
        synset.depth = 0
        above = (depth(target) for symbol, target in synset.links if symbol == "@")
        synset.depth = max(above, default=-1) + 1
    return synset.depth


for kind in ("verb", "adj", "adv"):
    with Path(f"/usr/share/wordnet/data.{kind}").open() as lines:
        for line in lines:
            if not line.startswith(" "):
                read(kind, line)
for synset in synsets.values():
    synset.links = [(symbol, synsets[at]) for symbol, at in synset.link_ids if at in synsets]
deepest = max(depth(synset) for synset in synsets.values())
common = min(counts, key=lambda word: (-counts[word], word))
print(
    f"ready {sys.argv[1]}: {len(synsets)} {len(index)} {len(counts)} {common} {deepest}", flush=True
)
signal.pause()
