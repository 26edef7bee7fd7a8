"""Paired metrics: one score a sample from each model, and what their difference says."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.measure.divergence import as_estimate
from compaudit.results import Estimate, PairedDelta, PairedMetric
from compaudit.theory.statistics import (
    Moments,
    mcnemar_exact,
    newcombe_paired_difference,
    paired_mean_difference,
    wilson_interval,
)

__all__ = ["PairedHits", "PairedScores", "point_only"]


class PairedHits:
    """A yes or no of each sample by both models, such as "the right class is on top"."""

    def __init__(self) -> None:
        self.both = self.broken = self.fixed = self.neither = 0

    def update(self, original: NDArray[np.bool_], compressed: NDArray[np.bool_]) -> None:
        """Take in one batch."""
        self.both += int(np.count_nonzero(original & compressed))
        self.broken += int(np.count_nonzero(original & ~compressed))
        self.fixed += int(np.count_nonzero(~original & compressed))
        self.neither += int(np.count_nonzero(~original & ~compressed))

    def result(self, confidence: float) -> PairedMetric:
        """Both shares (Wilson), their difference (Newcombe, paired) and McNemar's exact p-value."""
        samples = self.both + self.broken + self.fixed + self.neither
        difference = newcombe_paired_difference(
            self.both, self.broken, self.fixed, self.neither, confidence
        )
        return PairedMetric(
            original=as_estimate(wilson_interval(self.both + self.broken, samples, confidence)),
            compressed=as_estimate(wilson_interval(self.both + self.fixed, samples, confidence)),
            delta=PairedDelta(
                value=difference.value,
                low=difference.low,
                high=difference.high,
                p_value=mcnemar_exact(self.broken, self.fixed),
            ),
        )


class PairedScores:
    """A number of each sample by both models, such as its cross-entropy or squared error."""

    def __init__(self) -> None:
        self._original = Moments()
        self._compressed = Moments()
        self._difference = Moments()

    def update(self, original: NDArray[Any], compressed: NDArray[Any]) -> None:
        """Take in one batch."""
        self._original = self._original.merge(Moments.of(original))
        self._compressed = self._compressed.merge(Moments.of(compressed))
        self._difference = self._difference.merge(Moments.of(compressed - original))

    def result(self, confidence: float) -> PairedMetric | None:
        """Both means, their paired difference with a t interval, and the paired t-test's p-value.

        None when a score is not finite: no average may hide that.
        """
        difference = self._difference
        if difference.count == 0 or not np.isfinite(difference.mean):
            return None
        interval = difference.interval(confidence)
        return PairedMetric(
            original=as_estimate(self._original.interval(confidence)),
            compressed=as_estimate(self._compressed.interval(confidence)),
            delta=PairedDelta(
                value=interval.value,
                low=interval.low,
                high=interval.high,
                p_value=paired_mean_difference(
                    difference.count, difference.mean, difference.variance
                ),
            ),
        )


def point_only(original: float, compressed: float) -> PairedMetric:
    """A metric for which no interval is known: a value each, and their difference."""
    return PairedMetric(
        original=Estimate(value=original, low=None, high=None),
        compressed=Estimate(value=compressed, low=None, high=None),
        delta=PairedDelta(value=compressed - original, low=None, high=None, p_value=None),
    )
