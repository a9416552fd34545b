"""Shapes of a saved experiment's files, for support/shape.py."""

from __future__ import annotations

import re
from typing import Any

# Part of a file name.
ARM_NAME = re.compile(r"[^\W\d]\w{0,63}")
TEXTS = [str]
PLAN: dict[str, Any] = {
    "command": TEXTS,
    "copies": int,
    "rounds": int,
    "arms": [{"name": ARM_NAME, "options": TEXTS, "launcher_options": TEXTS}],
    "ready": {"kind": str, "value": str, "timeout_seconds": float},
    "primary": str,
    "load": (str, None),
    "fleet_load": (str, None),
    "metrics": [{"name": str, "kind": str, "value": str}],
    "tunables": {str: str},
    "hold_tunables?": {str: str},
    "stagger_seconds": float,
    "warm_up_seconds": float,
    "settle_seconds_max": float,
    "hold_seconds": float,
    "drops_caches": bool,
}
HOST: dict[str, Any] = {
    "ksmrun": str,
    "kernel": str,
    "cpus": (int, None),
    "mem_total_bytes": (int, None),
    "swap_total_bytes": (int, None),
    "thp_enabled": (str, None),
    "max_map_count": (int, None),
    "page_bytes": int,
    "ksm": {str: (int, str)},
    "started": str,
}
EXPERIMENT: dict[str, Any] = {"plan": PLAN, "host": HOST}
RESULT: dict[str, Any] = {
    "round": int,
    "arm": str,
    "metrics": {str: float},
    "warnings": [[str, str]],
    "settled?": (bool, None),
}
SAMPLE: dict[str, Any] = {
    "elapsed_seconds": float,
    "phase?": str,
    "pss_bytes?": (float, None),
    "own?": {str: [float]},
}
