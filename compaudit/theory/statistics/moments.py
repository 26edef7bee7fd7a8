"""Means of streamed values: mergeable moments, t intervals, the paired t-test."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from compaudit.theory import special

from .interval import Interval, t_quantile, upper_probability


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and sum of squared deviations of values seen so far.

    Moments of parts merge into the moments of the whole, in any grouping and order, up to rounding
    (about 1e-15 of the mean square for each merge; `a.merge(b) == b.merge(a)` exactly). A value
    that is infinite or NaN stays visible: the mean becomes infinite or NaN, the variance NaN.

    Attributes:
        count: how many values.
        mean: their mean, in the unit of the values; 0.0 means nothing while `count` is 0.
        m2: sum of squared deviations from the mean, in squared units.

    Source: Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm for computing
    sample variances", equation 2.1.
    """

    count: int = 0
    mean: float = 0.0
    m2: float = 0.0

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """Return the moments of an array.

        Args:
            values: real numbers of any shape; may be empty.
        """
        array = np.asarray(values, dtype=np.float64).ravel()
        if array.size == 0:
            return cls()
        with np.errstate(invalid="ignore", over="ignore"):
            mean = np.mean(array)
            deviations = array - mean
            # The second term is zero but for the rounding of the mean.
            m2 = np.sum(deviations**2) - np.sum(deviations) ** 2 / array.size
        return cls(array.size, float(mean), float(np.maximum(m2, 0.0)))

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of both sets of values together."""
        if self.count == 0:
            return other
        if other.count == 0:
            return self
        count = self.count + other.count
        difference = other.mean - self.mean
        return Moments(
            count,
            (self.count * self.mean + other.count * other.mean) / count,
            self.m2 + other.m2 + difference * difference * (self.count * other.count / count),
        )

    @property
    def variance(self) -> float | None:
        """The sample variance m2 / (count − 1), in squared units; None for fewer than 2 values."""
        return self.m2 / (self.count - 1) if self.count > 1 else None

    def interval(self, confidence: float = 0.95) -> Interval:
        """Return the mean and its t interval, as `mean_interval` does."""
        return mean_interval(self.count, self.mean, self.variance, confidence)


def mean_interval(
    count: int, mean: float, variance: float | None, confidence: float = 0.95
) -> Interval:
    """Return the mean and its interval mean ± t·√(variance / count).

    Args:
        count: how many independent values, at least 1.
        mean: their mean.
        variance: their sample variance (divisor count − 1); None when it is unknown.
        confidence: two-sided coverage, 0.95 by default.

    Returns:
        The mean with limits in its unit. Without a known, finite variance and two values the
        limits are None; a mean that is infinite or NaN is passed on as it is.

    Raises:
        ValueError: no values, a negative variance, or confidence not between 0 and 1.

    Source: Student 1908.
    """
    probability = upper_probability(confidence)
    error = _standard_error(count, variance)
    if error is None or not math.isfinite(mean):
        return Interval(mean, None, None)
    margin = t_quantile(probability, count - 1) * error
    return Interval(mean, mean - margin, mean + margin)


def paired_mean_difference(count: int, mean: float, variance: float | None) -> float | None:
    """Return the two-sided p-value of Student's paired t-test.

    The null hypothesis is that the differences, one for each sample, have mean zero.

    Args:
        count: how many differences, at least 1.
        mean: their mean.
        variance: their sample variance (divisor count − 1); None when it is unknown.

    Returns:
        The p-value, or None where it does not exist (fewer than 2 differences, values not finite).
        Without any variance: 1.0 when all differences are zero, else 0.0.

    Raises:
        ValueError: no differences, or a negative variance.

    Source: Student 1908.
    """
    error = _standard_error(count, variance)
    if error is None or not math.isfinite(mean):
        return None
    if mean == 0:
        return 1.0
    statistic = -math.inf if error == 0 else -abs(mean) / error
    return float(2.0 * special.stdtr(count - 1, statistic))


def _standard_error(count: int, variance: float | None) -> float | None:
    if count < 1:
        raise ValueError("the mean of no values does not exist")
    if variance is not None and variance < 0:
        raise ValueError(f"variance must not be negative, got {variance}")
    if count < 2 or variance is None or not math.isfinite(variance):
        return None
    return math.sqrt(variance / count)
