"""δ from times: quads, epochs and the interval between epochs.

The nesting is the point. A *quad* is four blocks in the order ABBA or BAAB, so linear drift
cancels in it. An *epoch* is one pair of fresh processes and the unit that varies independently:
quads of one epoch share their processes, and an interval over pooled quads is far too narrow.
Everything is averaged as logarithms, so swapping the two models gives 1/δ.
"""

import math
from collections.abc import Sequence
from typing import Final

from .interval import Interval, t_quantile, upper_probability

MINIMUM_EPOCHS: Final = 3
TRIMMED_SHARE: Final = 0.2


def trimmed_mean(values: Sequence[float], proportion: float = TRIMMED_SHARE) -> float:
    """Return the mean without the smallest and the largest values.

    Args:
        values: at least one finite number, in any order.
        proportion: share dropped on each side, from 0 to below 0.5; the count is rounded down.

    Returns:
        The mean of the rest, in the unit of the values.

    Raises:
        ValueError: no values, a value that is not finite, or a proportion out of range.

    Source: Tukey and McLaughlin 1963, as `scipy.stats.trim_mean`.
    """
    if not 0 <= proportion < 0.5:
        raise ValueError(f"proportion must be at least 0 and below 0.5, got {proportion}")
    ordered = sorted(_finite(values))
    cut = int(proportion * len(ordered))
    kept = ordered[cut : len(ordered) - cut]
    return math.fsum(kept) / len(kept)


def quad_value(original_s: Sequence[float], compressed_s: Sequence[float]) -> float:
    """Return mean log s − mean log s* over the blocks of one quad.

    Args:
        original_s: time of one call in each block of the original, in seconds.
        compressed_s: the same for the compressed, as many blocks.

    Returns:
        The quad's log δ, positive when the compressed is faster.

    Raises:
        ValueError: no blocks, unequal numbers of blocks (the quad would no longer cancel drift),
            or a time that is not positive and finite.
    """
    if len(original_s) != len(compressed_s):
        raise ValueError(f"unbalanced quad: {len(original_s)} and {len(compressed_s)} blocks")
    return _mean_log(original_s) - _mean_log(compressed_s)


def epoch_value(quad_values: Sequence[float]) -> float:
    """Return one epoch's log δ: the mean of its quads, 20 % trimmed on each side.

    Args:
        quad_values: log δ of each quad of the epoch, at least one.

    Raises:
        ValueError: no quads, or a value that is not finite.
    """
    return trimmed_mean(quad_values, TRIMMED_SHARE)


def standard_error(epoch_values: Sequence[float]) -> float | None:
    """Return s / √n of the epoch values, with s the sample standard deviation (divisor n − 1).

    Args:
        epoch_values: log δ of each epoch.

    Returns:
        The standard error of their mean in log units; None for fewer than 2 epochs.

    Raises:
        ValueError: no epochs, or a value that is not finite.
    """
    values = _finite(epoch_values)
    n = len(values)
    if n < 2:
        return None
    mean = math.fsum(values) / n
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)


def ratio_interval(
    epoch_values: Sequence[float],
    confidence: float = 0.95,
    quantile_probability: float | None = None,
) -> Interval:
    """Return δ = exp(mean) with the interval exp(mean ± t·se) over epochs.

    Args:
        epoch_values: log δ of each epoch, at least one.
        confidence: two-sided coverage, 0.95 by default.
        quantile_probability: probability of the t quantile, instead of (1 + confidence)/2: pass
            `two_look_quantile(confidence)` when this is one of two looks.

    Returns:
        δ, dimensionless. The limits are None with fewer than `MINIMUM_EPOCHS` epochs, and when they
        are beyond what a float can hold.

    Raises:
        ValueError: no epochs, a value that is not finite or beyond the range of exp, confidence or
            quantile_probability not between 0 and 1.
    """
    probability = upper_probability(confidence)
    if quantile_probability is not None:
        probability = quantile_probability
    values = _finite(epoch_values)
    mean = math.fsum(values) / len(values)
    error = standard_error(values)
    if error is None or len(values) < MINIMUM_EPOCHS:
        return bounded_ratio(mean, None)
    return bounded_ratio(mean, t_quantile(probability, len(values) - 1) * error)


def bounded_ratio(mean: float, margin: float | None) -> Interval:
    """Return exp(mean ± margin), without limits where there is no margin or no float for them.

    Raises:
        ValueError: a mean beyond the range of exp.
    """
    value = _exp(mean)
    if value is None:
        raise ValueError(f"a log ratio of {mean} is not a ratio of times")
    if margin is None:
        return Interval(value, None, None)
    low, high = _exp(mean - margin), _exp(mean + margin)
    if low is None or high is None:
        return Interval(value, None, None)
    return Interval(value, low, high)


def unpaired_ratio_interval(
    first: Sequence[float],
    second: Sequence[float],
    confidence: float = 0.95,
    quantile_probability: float | None = None,
) -> Interval:
    """Return exp(mean first − mean second) of epochs that do not belong together, two and two.

    Args:
        first: log δ of each epoch of one experiment, at least one.
        second: likewise of another.
        confidence: as in `ratio_interval`.
        quantile_probability: likewise.

    Returns:
        The ratio of the two δ, with Welch's interval; its limits are None where either has fewer
        than `MINIMUM_EPOCHS` epochs.

    Raises:
        ValueError: as `ratio_interval`.

    Source: Welch 1947, Biometrika 34:28; degrees of freedom after Satterthwaite 1946.
    """
    probability = upper_probability(confidence)
    if quantile_probability is not None:
        probability = quantile_probability
    difference = math.fsum(_finite(first)) / len(first) - math.fsum(_finite(second)) / len(second)
    if min(len(first), len(second)) < MINIMUM_EPOCHS:
        return bounded_ratio(difference, None)
    parts = [(standard_error(one) or 0.0) ** 2 for one in (first, second)]
    squares = (part**2 / (len(one) - 1) for part, one in zip(parts, (first, second), strict=True))
    weight = math.fsum(squares)
    freedom = sum(parts) ** 2 / weight if weight else len(first) + len(second) - 2
    return bounded_ratio(difference, t_quantile(probability, freedom) * math.sqrt(sum(parts)))


def minimal_detectable_effect(
    standard_error: float,
    degrees_of_freedom: float,
    confidence: float = 0.95,
    power: float = 0.8,
) -> float | None:
    """Return exp((t₀.₉₇₅ + t₀.₈)·se) − 1, the smallest speed-up this spread could show.

    Args:
        standard_error: of the mean log δ, not negative.
        degrees_of_freedom: number of epochs − 1.
        confidence: of the two-sided interval.
        power: probability of seeing an effect of that size.

    Returns:
        The effect as a fraction (0.05 is 5 %), or None beyond the range of a float.

    Raises:
        ValueError: a negative or NaN standard error, no degrees of freedom, or confidence or power
            not between 0 and 1.

    Source: Bloom 1995, "Minimum detectable effects", Evaluation Review 19:547.
    """
    if not standard_error >= 0:
        raise ValueError(f"standard error must not be negative, got {standard_error}")
    multiple = t_quantile(upper_probability(confidence), degrees_of_freedom) + t_quantile(
        power, degrees_of_freedom
    )
    return _expm1(multiple * standard_error)


def noise_floor(sentinel: Interval) -> float | None:
    """Return exp(max(|ln low|, |ln high|)) − 1 of the original against itself.

    Args:
        sentinel: δ of the original against itself.

    Returns:
        The largest effect that is still compatible with no difference at all, as a fraction; None
        without an interval.

    Raises:
        ValueError: a limit is not positive.
    """
    if sentinel.low is None or sentinel.high is None:
        return None
    if not (sentinel.low > 0 and sentinel.high > 0):
        raise ValueError(f"a ratio is positive, got {sentinel}")
    return _expm1(max(abs(math.log(sentinel.low)), abs(math.log(sentinel.high))))


def _mean_log(times_s: Sequence[float]) -> float:
    if not all(time > 0 for time in _finite(times_s)):
        raise ValueError("a time must be positive")
    return math.fsum(map(math.log, times_s)) / len(times_s)


def _finite(values: Sequence[float]) -> Sequence[float]:
    if len(values) == 0:
        raise ValueError("no values")
    if not all(map(math.isfinite, values)):
        raise ValueError("a value is not finite")
    return values


def _exp(exponent: float) -> float | None:
    """Return eˣ, or None where a positive float cannot hold it."""
    try:
        result = math.exp(exponent)
    except OverflowError:
        return None
    return result if result > 0 else None


def _expm1(exponent: float) -> float | None:
    try:
        result = math.expm1(exponent)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None
