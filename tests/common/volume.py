"""How much of what tests do by the thousand: all of it with --full, a tenth else."""

from __future__ import annotations

import os

IS_LONG = os.environ.get("KSMRUN_SUITES") == "all"


def volume(full: int) -> int:
    return full if IS_LONG else full // 10
