"""What may be said about a measured δ.

Ratios are judged as logarithms: an effect is |ln δ|, so "as far above one" and "as far below one"
mean the same, and exchanging the two models exchanges "faster" and "slower" and nothing else.
"""

import math
from typing import Final, Literal

from .interval import Interval
from .stopping import TARGET_HALF_WIDTH
from .timing import noise_floor

Verdict = Literal["faster", "slower", "no_measurable_change", "inconclusive", "invalid"]

EQUIVALENCE_MARGIN: Final = 0.05
SENTINEL_TOLERANCE: Final = 0.01
MARGIN_PER_HALF_WIDTH: Final = 1.5


def verdict(
    delta: Interval,
    sentinel: Interval | None,
    *,
    equivalence_margin: float = EQUIVALENCE_MARGIN,
    target_half_width: float = TARGET_HALF_WIDTH,
) -> Verdict:
    """Return the verdict on a speed-up.

    In this order:

    - "invalid": the sentinel, the original against itself, excludes 1 by more than 1 %.
    - "inconclusive": δ has no interval.
    - "faster", "slower": the interval excludes 1 and δ is further from 1 than the noise floor. With
      an unknown noise floor the equivalence margin stands in for it.
    - "no_measurable_change": the interval lies inside the equivalence margin.
    - "inconclusive": all else.

    Args:
        delta: δ with its interval, from `ratio_interval`.
        sentinel: δ of the original against itself; None when there was no room for it.
        equivalence_margin: effect that does not matter, as a fraction: 0.05 is 1/1.05 … 1.05. It is
            widened to 1.5 × target_half_width, below which nothing could be confirmed.
        target_half_width: what the measurement aimed at, as a fraction.

    Raises:
        ValueError: a ratio that is not positive, a negative margin or half-width.
    """
    if not (equivalence_margin >= 0 and target_half_width >= 0):
        raise ValueError("margin and half-width must not be negative")
    margin = math.log1p(max(equivalence_margin, MARGIN_PER_HALF_WIDTH * target_half_width))
    floor = margin
    if sentinel is not None:
        sentinel_logs = _log_limits(sentinel)
        if sentinel_logs is not None and _distance_from_one(sentinel_logs) > math.log1p(
            SENTINEL_TOLERANCE
        ):
            return "invalid"
        measured_floor = noise_floor(sentinel)
        if measured_floor is not None:
            floor = math.log1p(measured_floor)

    logs = _log_limits(delta)
    if logs is None:
        return "inconclusive"
    effect = math.log(delta.value)
    if _distance_from_one(logs) > 0 and abs(effect) > floor:
        return "faster" if effect > 0 else "slower"
    if max(map(abs, logs)) <= margin:
        return "no_measurable_change"
    return "inconclusive"


def _log_limits(ratio: Interval) -> tuple[float, float] | None:
    if ratio.low is None or ratio.high is None:
        return None
    if not 0 < ratio.low <= ratio.value <= ratio.high < math.inf:
        raise ValueError(f"not an interval of a positive ratio: {ratio}")
    return math.log(ratio.low), math.log(ratio.high)


def _distance_from_one(logs: tuple[float, float]) -> float:
    """Return how far an interval of logarithms stays away from ln 1 = 0; 0 when it contains it."""
    low, high = logs
    return max(low, -high, 0.0)
