"""Number of repetitions of tests that do things by the thousand: all with --full, else a tenth."""

from __future__ import annotations

import os

IS_LONG = os.environ.get("KSMRUN_SUITES") == "all"


def volume(full: int) -> int:
    return full if IS_LONG else full // 10
