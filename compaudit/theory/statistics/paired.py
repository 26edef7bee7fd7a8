"""Two proportions on the same samples: the accuracy change and its test.

Each sample was right with both models, with the first (original) only, with the second
(compressed) only, or with neither: four counts.
"""

import math
from operator import index
from typing import SupportsIndex

from compaudit.theory import special

from .interval import Interval
from .proportions import wilson_interval


def newcombe_paired_difference(
    both: SupportsIndex,
    only_first: SupportsIndex,
    only_second: SupportsIndex,
    neither: SupportsIndex,
    confidence: float = 0.95,
) -> Interval:
    """Return p_second − p_first of paired proportions, with Newcombe's square-and-add interval.

    Wilson's limits of the two proportions are combined with the correlation φ of the pairs. As the
    method demands, a positive φ is moved towards zero: its numerator both·neither −
    only_first·only_second is reduced by n/2, at most to zero. Unlike Wald's, the interval has a
    width when no pair disagrees, and stays inside [−1, 1].

    Args:
        both: samples where both succeed.
        only_first: samples where only the first succeeds ("broken" by the second).
        only_second: samples where only the second succeeds ("fixed").
        neither: samples where both fail.
        confidence: two-sided coverage, 0.95 by default.

    Returns:
        The difference with limits, as fractions (not percentage points); positive when the second
        is better.

    Raises:
        TypeError: a count is not an integer.
        ValueError: a count is negative, all are zero, or confidence is not between 0 and 1.

    Source: Newcombe 1998, "Improved confidence intervals for the difference between binomial
    proportions based on paired data", Statistics in Medicine 17:2635, method 10.
    """
    # Python integers: the product of four margins overflows 64 bits at 55,000 samples.
    both, only_first, only_second, neither = map(index, (both, only_first, only_second, neither))
    n = _total(both, only_first, only_second, neither)
    first = wilson_interval(both + only_first, n, confidence)
    second = wilson_interval(both + only_second, n, confidence)
    phi = _corrected_phi(both, only_first, only_second, neither)
    below_first, above_first = _arms(first)
    below_second, above_second = _arms(second)
    # From the counts, not from the two proportions: exact, and zero when it should be.
    difference = (only_second - only_first) / n
    low = difference - _square_and_add(below_second, above_first, phi)
    high = difference + _square_and_add(above_second, below_first, phi)
    return Interval(difference, max(-1.0, low), min(1.0, high))


def mcnemar_exact(only_first: SupportsIndex, only_second: SupportsIndex) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    The null hypothesis is that a discordant pair is as likely to favour one model as the other:
    the smaller count is binomial with n = only_first + only_second and p = ½.

    Args:
        only_first: samples where only the first model succeeds.
        only_second: samples where only the second model succeeds.

    Returns:
        min(1, 2·P(X ≤ min(only_first, only_second))); 1.0 without discordant pairs.

    Raises:
        TypeError: a count is not an integer.
        ValueError: a count is negative.

    Source: McNemar 1947, Psychometrika 12:153; the exact conditional form is the sign test.
    """
    only_first, only_second = index(only_first), index(only_second)
    if only_first < 0 or only_second < 0:
        raise ValueError(f"counts must not be negative, got {only_first} and {only_second}")
    if only_first == only_second:
        return 1.0
    smaller = min(only_first, only_second)
    tail = special.bdtr(float(smaller), only_first + only_second, 0.5)
    return min(1.0, 2.0 * float(tail))


def _total(*counts: int) -> int:
    if any(count < 0 for count in counts):
        raise ValueError(f"counts must not be negative, got {counts}")
    total = sum(counts)
    if total == 0:
        raise ValueError("a difference of proportions needs at least one sample")
    return total


def _corrected_phi(both: int, only_first: int, only_second: int, neither: int) -> float:
    n = both + only_first + only_second + neither
    margins = (
        (both + only_first)
        * (only_second + neither)
        * (both + only_second)
        * (only_first + neither)
    )
    if margins == 0:
        return 0.0
    numerator: float = both * neither - only_first * only_second
    if numerator > 0:
        numerator = max(numerator - n / 2, 0.0)
    return numerator / math.sqrt(margins)


def _arms(interval: Interval) -> tuple[float, float]:
    """Return how far the limits are below and above the value."""
    low = interval.value if interval.low is None else interval.low
    high = interval.value if interval.high is None else interval.high
    return interval.value - low, high - interval.value


def _square_and_add(arm: float, other_arm: float, phi: float) -> float:
    """Return √(a² − 2φab + b²), written so that nothing cancels and the arms can be swapped."""
    return math.sqrt((arm - other_arm) ** 2 + 2 * (1 - phi) * (arm * other_arm))
