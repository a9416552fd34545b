"""Ways to start a program through ksmrun, whose system calls are to answer as ever."""

from __future__ import annotations

from .compare import Bench

WAYS = {
    "prctl": ("--mechanism=prctl",),
    "mark": ("--mechanism=mark",),
    "join": ("--mechanism=preload",),
    "layout": ("--mechanism=prctl", "--layout=shared"),
}


def launch(bench: Bench, way: str) -> list[str]:
    """Return the words before a command: joining too, as kernels before 6.17 need it."""
    words = bench.planned(*WAYS[way])
    is_told = any(word.startswith("--shim=") for word in words)
    return words if way != "join" or is_told else [*words[:-1], "--shim=join", "--"]
