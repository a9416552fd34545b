"""Each document has a schema of its own, which is known to tests/common/schemas.py."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

from schemas import SCHEMAS

ROOT = Path(__file__).parents[2]


def test_all_are_known() -> None:
    found = Counter(re.findall(r"ksmrun-probe-\d+", (ROOT / "native/exec/probe.c").read_text()))
    for file in (ROOT / "ksmrun").rglob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SCHEMA":
                found[ast.literal_eval(node.value)] += 1
    assert found == Counter(SCHEMAS)
