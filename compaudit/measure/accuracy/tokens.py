"""Paired figures over tokens; the sequences that hold them are what varies independently."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from compaudit.measure.divergence import as_estimate
from compaudit.results import PairedDelta, PairedMetric, ProbabilityChange
from compaudit.theory.statistics import (
    BlockedMean,
    Interval,
    Moments,
    SignedQuantiles,
    blocked_paired_difference,
    blocked_proportion,
    difference_of_exponentials,
    exponential,
    root,
)
from compaudit.theory.statistics.equivalence import two_sided_level

__all__ = ["ProbabilityChanges", "TokenHits", "TokenLosses"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]


class TokenHits:
    """A yes or no of each token by both models, such as "the right token is on top"."""

    def __init__(self) -> None:
        self.both = self.broken = self.fixed = self.neither = 0
        self._original = BlockedMean()
        self._compressed = BlockedMean()
        self._difference = BlockedMean()

    def update(self, original: Flags, compressed: Flags, sequences: Integers) -> None:
        """Take in whole sequences: one entry a token, and the sequence it belongs to."""
        self.both += int(np.count_nonzero(original & compressed))
        self.broken += int(np.count_nonzero(original & ~compressed))
        self.fixed += int(np.count_nonzero(~original & compressed))
        self.neither += int(np.count_nonzero(~original & ~compressed))
        difference = compressed.astype(np.float64) - original
        self._original = self._original.merge(BlockedMean.of(original, sequences))
        self._compressed = self._compressed.merge(BlockedMean.of(compressed, sequences))
        self._difference = self._difference.merge(BlockedMean.of(difference, sequences))

    def merge(self, other: TokenHits) -> None:
        """Take in what was seen of other sequences."""
        self.both += other.both
        self.broken += other.broken
        self.fixed += other.fixed
        self.neither += other.neither
        self._original = self._original.merge(other._original)
        self._compressed = self._compressed.merge(other._compressed)
        self._difference = self._difference.merge(other._difference)

    def result(self, confidence: float) -> PairedMetric:
        """Both shares and their difference, with intervals and a paired t-test over sequences.

        McNemar's test would take the tokens of a sequence as independent.
        """
        difference = self._change(confidence)
        return PairedMetric(
            original=as_estimate(blocked_proportion(self._original, confidence)),
            compressed=as_estimate(blocked_proportion(self._compressed, confidence)),
            delta=PairedDelta(
                value=difference.value,
                low=difference.low,
                high=difference.high,
                p_value=self._difference.p_value(),
                worst_case=self._change(two_sided_level(confidence)).low,
            ),
        )

    def _change(self, confidence: float) -> Interval:
        return blocked_paired_difference(
            self.both, self.broken, self.fixed, self.neither, self._difference, confidence
        )


class TokenLosses:
    """The negative log-likelihood of each right token by both models, in nats."""

    def __init__(self) -> None:
        self._original = BlockedMean()
        self._compressed = BlockedMean()
        self._difference = BlockedMean()
        self._spreads = (Moments(), Moments(), Moments())

    def update(self, original: Floats, compressed: Floats, sequences: Integers) -> None:
        """Take in whole sequences: one finite number a token, and the sequence it belongs to."""
        columns = (original, compressed, compressed - original)
        means = [BlockedMean.of(column, sequences) for column in columns]
        self._add(means, [Moments.of(column) for column in columns])

    def merge(self, other: TokenLosses) -> None:
        """Take in what was seen of other sequences."""
        self._add([other._original, other._compressed, other._difference], list(other._spreads))

    def cross_entropy(self, confidence: float) -> PairedMetric:
        """Mean loss of a token, in nats, with a paired t-test over sequences."""
        difference = self._difference.interval(confidence)
        return PairedMetric(
            original=as_estimate(self._original.interval(confidence)),
            compressed=as_estimate(self._compressed.interval(confidence)),
            delta=PairedDelta(
                value=difference.value,
                low=difference.low,
                high=difference.high,
                p_value=self._difference.p_value(),
                worst_case=self._difference.interval(two_sided_level(confidence)).high,
            ),
        )

    def perplexity(self, confidence: float) -> PairedMetric | None:
        """The exponential of the mean loss; None where no float holds it.

        Its difference has an interval by the delta method; the p-value is that of the mean loss,
        for both differences are zero together.
        """
        original = exponential(self._original.interval(confidence))
        compressed = exponential(self._compressed.interval(confidence))
        difference = self._perplexity_change(confidence)
        one_sided = self._perplexity_change(two_sided_level(confidence))
        if original is None or compressed is None or difference is None or one_sided is None:
            return None
        return PairedMetric(
            original=as_estimate(original),
            compressed=as_estimate(compressed),
            delta=PairedDelta(
                value=difference.value,
                low=difference.low,
                high=difference.high,
                p_value=self._difference.p_value(),
                worst_case=one_sided.high,
            ),
        )

    def log_ratio(self, confidence: float) -> Interval:
        """Of compressed to original perplexity: the mean paired difference of the losses."""
        return self._difference.interval(confidence)

    @property
    def tokens(self) -> int:
        """How many tokens were predicted."""
        return self._difference.count

    @property
    def correlation(self) -> float | None:
        """Pearson's, of both models' losses over tokens; None where one of them never changes."""
        original, compressed, difference = (spread.m2 for spread in self._spreads)
        size = math.sqrt(original) * math.sqrt(compressed)
        if size == 0:
            return None
        return max(-1.0, min(1.0, (original + compressed - difference) / 2 / size))

    def _add(self, means: list[BlockedMean], spreads: list[Moments]) -> None:
        self._original = self._original.merge(means[0])
        self._compressed = self._compressed.merge(means[1])
        self._difference = self._difference.merge(means[2])
        first, second, third = self._spreads
        self._spreads = (
            first.merge(spreads[0]),
            second.merge(spreads[1]),
            third.merge(spreads[2]),
        )

    def _perplexity_change(self, confidence: float) -> Interval | None:
        return difference_of_exponentials(
            self._original, self._compressed, self._difference, confidence
        )


class ProbabilityChanges:
    """The right token's probability, compressed minus original, in shares."""

    def __init__(self) -> None:
        self._mean = BlockedMean()
        self._square = BlockedMean()
        self._quantiles = SignedQuantiles()

    def update(self, change: Floats, sequences: Integers) -> None:
        """Take in whole sequences: one finite number a token, and the sequence it belongs to."""
        self._mean = self._mean.merge(BlockedMean.of(change, sequences))
        self._square = self._square.merge(BlockedMean.of(change**2, sequences))
        self._quantiles = self._quantiles.merge(SignedQuantiles.of(change))

    def merge(self, other: ProbabilityChanges) -> None:
        """Take in what was seen of other sequences."""
        self._mean = self._mean.merge(other._mean)
        self._square = self._square.merge(other._square)
        self._quantiles = self._quantiles.merge(other._quantiles)

    def result(self, confidence: float) -> ProbabilityChange:
        """Mean and root mean square with intervals over sequences, and quantiles over tokens."""
        return ProbabilityChange(
            mean=as_estimate(self._mean.interval(confidence)),
            rms=as_estimate(root(self._square.interval(confidence))),
            p1=self._quantiles.at(0.01),
            p5=self._quantiles.at(0.05),
            p50=self._quantiles.at(0.5),
            p95=self._quantiles.at(0.95),
            p99=self._quantiles.at(0.99),
            min=self._quantiles.minimum,
            max=self._quantiles.maximum,
        )
