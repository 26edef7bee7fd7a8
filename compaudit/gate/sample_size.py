"""How much data it would take to decide what an interval leaves open."""

from __future__ import annotations

import math

from compaudit.results import Comparison, Estimate
from compaudit.units import format_about

__all__ = ["samples_to_decide", "what_would_decide"]

_HOPELESS = 1_000_000_000
"""More samples than anybody has; the figure is at the limit, and no number decides it."""


def samples_to_decide(estimate: Estimate, limit: float, samples: int) -> int | None:
    """About how many samples would take the limit out of the interval, were the value to stay.

    The half-width of an interval shrinks with √n, so n · (half-width / distance)² samples bring it
    down to the distance between value and limit.

    Args:
        estimate: with an interval that holds the limit.
        limit: what is required.
        samples: how many the estimate rests on.

    Returns:
        At least one more than there are; None where no number would do.
    """
    assert estimate.low is not None, "only an interval can be undecided"
    assert estimate.high is not None, "only an interval can be undecided"
    below = limit < estimate.value
    width = estimate.value - estimate.low if below else estimate.high - estimate.value
    distance = abs(estimate.value - limit)
    if distance == 0 or width / distance > math.sqrt(_HOPELESS):
        return None
    needed = samples * (width / distance) ** 2
    if needed > _HOPELESS:
        return None
    return max(math.ceil(needed), samples + 1)


def what_would_decide(
    path: tuple[str, ...], estimate: Estimate, limit: float, report: Comparison
) -> str:
    """What an undecided requirement on outputs takes; nothing to say of other figures."""
    counted = _counted(path, report)
    if counted is None:
        return ""
    samples, what = counted
    needed = samples_to_decide(estimate, limit, samples)
    if needed is None:
        return f"more {what} would not decide it, if the figure stays what it is"
    return f"about {format_about(needed)} {what} would decide it, if the figure stays what it is"


def _counted(path: tuple[str, ...], report: Comparison) -> tuple[int, str] | None:
    """How many independent things a figure rests on, and what they are."""
    accuracy, divergence = report.accuracy, report.divergence
    if path[0] == "accuracy" and accuracy is not None:
        if accuracy.language is not None:
            return accuracy.language.sequences, "sequences"
        return accuracy.samples, "samples"
    if path[0] == "divergence" and divergence is not None:
        return divergence.samples, "sequences" if divergence.per == "token" else "samples"
    return None
