"""What runtimes get from the group's seed, besides variables, and what that costs. Pure.

native/shim/seeding.h leads to the code that gives it.
"""

from __future__ import annotations

from ksmrun.model.runtime import NODE, Runtime
from ksmrun.plan.doctor import CheckRow

ITEM = "seeds"
# By the name of facts/runtime.py.
SHARED = {
    NODE: (
        "V8's seeds, and flags that keep its threads from moving objects (Node 18 to 26): "
        "Math.random() gives every copy the same numbers (crypto and TLS do not), and collections "
        "pause longer"
    ),
    "Ruby": "the salt of its hashes; rand and SecureRandom stay its own",
    "OpenJDK": (
        "in Java 17, the order of Set.of and Map.of; clocks, Random and SecureRandom stay its own"
    ),
}
MALLOC = "malloc's mark of freed blocks"


def shared_seeds(runtime: Runtime | None, libc: str | None) -> str | None:
    """Return what is the group's in a program; None if nothing is."""
    found = [SHARED[runtime.name]] if runtime is not None and _is_given(runtime) else []
    if libc == "glibc":
        found.append(MALLOC)
    return "; ".join(found) or None


def _is_given(runtime: Runtime) -> bool:
    is_other_java = runtime.name == "OpenJDK" and runtime.major not in (None, 17)
    is_left_alone = is_other_java or (runtime.name == NODE and runtime.variant is not None)
    return runtime.name in SHARED and not is_left_alone


def seeds_row(
    runtime: Runtime | None, libc: str | None, unreachable: str | None
) -> CheckRow | None:
    """Return the row of `ksmrun check`. unreachable: why the shim cannot be used."""
    what = shared_seeds(runtime, libc)
    if what is None:
        return None
    if unreachable is None:
        found = f"one for a group with --layout=shared: {what}"
        return CheckRow(ITEM, "ok", found, "--seeds=own leaves them alone")
    status = "warn" if runtime is not None and _is_given(runtime) else "ok"
    return CheckRow(ITEM, status, f"its own, because the shim cannot be used: {unreachable}")
