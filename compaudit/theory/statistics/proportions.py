"""A single proportion: top-1 accuracy, agreement."""

import math
from operator import index
from typing import SupportsIndex

from .interval import Interval, normal_quantile, upper_probability


def wilson_interval(
    successes: SupportsIndex, n: SupportsIndex, confidence: float = 0.95
) -> Interval:
    """Return a proportion and its score interval, without continuity correction.

    It never leaves [0, 1] and keeps its width at 0 and n successes, where the textbook interval
    p ± z·√(p(1 − p)/n) collapses to a point.

    Args:
        successes: how many of the n, from 0 to n.
        n: how many independent trials, at least 1.
        confidence: two-sided coverage, 0.95 by default.

    Returns:
        successes / n with limits, as fractions.

    Raises:
        TypeError: successes or n is not an integer.
        ValueError: n is below 1, successes lies outside 0 … n, or confidence not between 0 and 1.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference";
    Newcombe 1998, Statistics in Medicine 17:857, method 3.
    """
    successes, n = index(successes), index(n)  # Python integers do not overflow
    if n < 1:
        raise ValueError("a proportion needs at least one trial")
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in 0 … {n}, got {successes}")
    z = normal_quantile(upper_probability(confidence))
    p = successes / n
    scale = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    margin = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    return Interval(
        p,
        0.0 if successes == 0 else max(0.0, centre - margin),
        1.0 if successes == n else min(1.0, centre + margin),
    )
