"""The common shape of an uncertain figure, and the quantiles that intervals are made of."""

from dataclasses import dataclass

from compaudit.theory import special


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with a confidence interval.

    Attributes:
        value: the point estimate.
        low: lower limit, in the unit of the value; None where there is no interval.
        high: upper limit; None exactly when `low` is.
    """

    value: float
    low: float | None
    high: float | None


def upper_probability(confidence: float) -> float:
    """Return the probability of the quantile at a two-sided interval's upper limit.

    Args:
        confidence: between 0 and 1, both excluded.

    Returns:
        (1 + confidence) / 2, so 0.975 for 0.95.

    Raises:
        ValueError: confidence is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    return (1 + confidence) / 2


def normal_quantile(probability: float) -> float:
    """Return the standard normal quantile, 1.959964 for 0.975.

    Args:
        probability: between 0 and 1, both excluded.

    Raises:
        ValueError: probability is not between 0 and 1.
    """
    if not 0 < probability < 1:
        raise ValueError(f"probability must be between 0 and 1, got {probability}")
    return float(special.ndtri(probability))


def t_quantile(probability: float, degrees_of_freedom: float) -> float:
    """Return the quantile of Student's t, 2.570582 for 0.975 with 5 degrees of freedom.

    Args:
        probability: between 0 and 1, both excluded.
        degrees_of_freedom: above 0.

    Raises:
        ValueError: probability is not between 0 and 1, or degrees_of_freedom is not positive.

    Source: Student 1908.
    """
    if not 0 < probability < 1:
        raise ValueError(f"probability must be between 0 and 1, got {probability}")
    if not degrees_of_freedom > 0:
        raise ValueError(f"degrees of freedom must be positive, got {degrees_of_freedom}")
    return float(special.stdtrit(degrees_of_freedom, probability))
