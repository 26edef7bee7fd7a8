"""Intervals of what is made of a mean: its exponential, its root, a change of exponentials."""

import math

from .blocked import BlockedMean
from .interval import Interval, t_quantile, upper_probability


def exponential(interval: Interval) -> Interval | None:
    """Return exp of a figure and of its limits: a ratio from the mean of its logarithms.

    Args:
        interval: of the logarithm.

    Returns:
        The exponential; None where no positive float can hold it. Its limits are None where there
        were none, and where one of them is beyond a float.
    """
    value = _exp(interval.value)
    if value is None:
        return None
    if interval.low is None or interval.high is None:
        return Interval(value, None, None)
    low, high = _exp(interval.low), _exp(interval.high)
    if low is None or high is None:
        return Interval(value, None, None)
    return Interval(value, low, high)


def root(interval: Interval) -> Interval:
    """Return the square root of a figure and of its limits: a root mean square from its square.

    Args:
        interval: of a value ≥ 0; a lower limit below zero counts as zero.

    Raises:
        ValueError: the value is negative.
    """
    if interval.value < 0:
        raise ValueError(f"no root of a negative value, got {interval.value}")
    value = math.sqrt(interval.value)
    if interval.low is None or interval.high is None:
        return Interval(value, None, None)
    return Interval(value, math.sqrt(max(0.0, interval.low)), math.sqrt(interval.high))


def difference_of_exponentials(
    first: BlockedMean, second: BlockedMean, difference: BlockedMean, confidence: float = 0.95
) -> Interval | None:
    """Return exp(mean of second) − exp(mean of first), with an interval by the delta method.

    With A and B the two exponentials, V the variances and d the paired difference, the covariance
    is (V_first + V_second − V_d) / 2, so that

        var(B − A) = (B − A)·(B·V_second − A·V_first) + A·B·V_d

    in which nothing cancels when the two hardly differ.

    Args:
        first: of the values whose exponential is taken away.
        second: of the others, in the same blocks.
        difference: of second − first, value by value.
        confidence: two-sided coverage, 0.95 by default.

    Returns:
        The difference; None where no float holds one of the exponentials. Its limits are None for
        fewer than 2 blocks, and where a value is not finite.

    Raises:
        ValueError: confidence is not between 0 and 1.

    Source: Oehlert 1992, "A note on the delta method", The American Statistician 46:27.
    """
    probability = upper_probability(confidence)
    a, b = _exp(first.mean), _exp(second.mean)
    if a is None or b is None:
        return None
    change = a * math.expm1(second.mean - first.mean)
    variances = (first.variance, second.variance, difference.variance)
    if variances[0] is None or variances[1] is None or variances[2] is None:
        return Interval(change, None, None)
    variance = change * (b * variances[1] - a * variances[0]) + a * b * variances[2]
    if not math.isfinite(variance):
        return Interval(change, None, None)
    error = math.sqrt(max(0.0, variance) / difference.blocks)
    margin = t_quantile(probability, difference.blocks - 1) * error
    return Interval(change, change - margin, change + margin)


def _exp(exponent: float) -> float | None:
    """Return eˣ, or None where a positive float cannot hold it."""
    try:
        result = math.exp(exponent)
    except OverflowError:
        return None
    return result if result > 0 else None
