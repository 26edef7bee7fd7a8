"""Shares of values that come in blocks, such as next-token accuracy and its change."""

from typing import SupportsIndex

from .blocked import BlockedMean
from .interval import Interval
from .paired import newcombe_paired_difference
from .proportions import wilson_interval


def blocked_proportion(hits: BlockedMean, confidence: float = 0.95) -> Interval:
    """Return a share of values that come in blocks, with an interval that lies within [0, 1].

    Its limits are those of the t interval over blocks, but never inside Wilson's for as many
    independent values: where every value is a hit the blocks do not differ, and that is not
    certainty.

    Args:
        hits: of values that are 0 or 1, at least one.
        confidence: two-sided coverage, 0.95 by default.

    Returns:
        The share; its limits are None for fewer than 2 blocks.

    Raises:
        ValueError: no values, values that cannot be flags, or confidence not between 0 and 1.
    """
    successes = hits.mean * hits.count
    if not abs(successes - round(successes)) < 0.25:
        raise ValueError(f"{hits.count} flags have no mean of {hits.mean}")
    share = wilson_interval(round(successes), hits.count, confidence)
    return _hull(share, hits.interval(confidence), lowest=0.0)


def blocked_paired_difference(
    both: SupportsIndex,
    only_first: SupportsIndex,
    only_second: SupportsIndex,
    neither: SupportsIndex,
    difference: BlockedMean,
    confidence: float = 0.95,
) -> Interval:
    """Return p_second − p_first of paired proportions over values that come in blocks.

    The limits are those of the t interval of the differences over blocks, but never inside
    Newcombe's for as many independent pairs, which has a width even when no pair disagrees.

    Args:
        both: pairs where both succeed.
        only_first: pairs where only the first succeeds.
        only_second: pairs where only the second succeeds.
        neither: pairs where both fail.
        difference: of second − first of every pair, which is −1, 0 or 1.
        confidence: two-sided coverage, 0.95 by default.

    Returns:
        The difference, as a fraction within [−1, 1]; its limits are None for fewer than 2 blocks.

    Raises:
        TypeError: a count is not an integer.
        ValueError: counts that are negative or all zero, or confidence not between 0 and 1.
    """
    pairs = newcombe_paired_difference(both, only_first, only_second, neither, confidence)
    return _hull(pairs, difference.interval(confidence), lowest=-1.0)


def _hull(independent: Interval, blocked: Interval, lowest: float) -> Interval:
    """The smallest interval that holds both, cut at `lowest` and 1; none without blocks."""
    if blocked.low is None or blocked.high is None:
        return Interval(independent.value, None, None)
    assert independent.low is not None, "counts always have an interval"
    assert independent.high is not None, "counts always have an interval"
    return Interval(
        independent.value,
        max(lowest, min(independent.low, blocked.low)),
        min(1.0, max(independent.high, blocked.high)),
    )
