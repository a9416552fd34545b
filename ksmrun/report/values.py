"""Values of metrics for people, in the unit of their quantity."""

from __future__ import annotations

from ksmrun.model.quantities import Unit, metric
from ksmrun.support.units import GIB, MIB


def word_of(name: str) -> str:
    """Return the name of a metric for people."""
    return metric(name).word


def value_text(name: str, value: float) -> str:
    """Format the value of a metric, with its unit."""
    match metric(name).unit:
        case Unit.BYTES:
            return size_text(value)
        case Unit.SHARE:
            return f"{value:.1%}"
        case Unit.SECONDS:
            return f"{value:.4g} s"
        case Unit.PER_SECOND:
            return f"{value:.4g}/s"
    return f"{value:.4g}"


def size_text(size_bytes: float) -> str:
    """Format a size in GiB from 1 GiB on, else in MiB."""
    if abs(size_bytes) >= GIB:
        return f"{size_bytes / GIB:.2f} GiB"
    # Adding 0 turns -0.0 into 0.
    return f"{round(size_bytes / MIB) + 0} MiB"
