"""Paired metrics: one score a sample from each model, and what their difference says."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compaudit.measure.divergence import as_estimate
from compaudit.results import Equivalence, PairedDelta, PairedMetric
from compaudit.theory.statistics import (
    Interval,
    Moments,
    jackknife_error,
    jackknife_interval,
    jackknife_p_value,
    mcnemar_exact,
    newcombe_paired_difference,
    paired_lower_bound,
    paired_mean_difference,
    samples_to_decide,
    two_sided_level,
    wilson_interval,
)

__all__ = ["Better", "PairedHits", "PairedScores", "jackknifed", "worst_of"]

Better = Literal["higher", "lower"]


class PairedHits:
    """A yes or no of each sample by both models, such as "the right class is on top"."""

    def __init__(self) -> None:
        self.both = self.broken = self.fixed = self.neither = 0

    @property
    def samples(self) -> int:
        """How many there are."""
        return self.both + self.broken + self.fixed + self.neither

    def update(self, original: NDArray[np.bool_], compressed: NDArray[np.bool_]) -> None:
        """Take in one batch."""
        both = int(np.count_nonzero(original & compressed))
        broken = int(np.count_nonzero(original)) - both
        fixed = int(np.count_nonzero(compressed)) - both
        self.both += both
        self.broken += broken
        self.fixed += fixed
        self.neither += len(original) - both - broken - fixed

    def merge(self, other: PairedHits) -> None:
        """Take in what was seen of other samples."""
        self.both += other.both
        self.broken += other.broken
        self.fixed += other.fixed
        self.neither += other.neither

    def result(self, confidence: float) -> PairedMetric | None:
        """Both shares (Wilson), their difference (Newcombe, paired) and McNemar's exact p-value.

        None without samples.
        """
        if not self.samples:
            return None
        counts = (self.both, self.broken, self.fixed, self.neither)
        difference = newcombe_paired_difference(*counts, confidence)

        def share(hits: int) -> Interval:
            return wilson_interval(hits, self.samples, confidence)

        return PairedMetric(
            original=as_estimate(share(self.both + self.broken)),
            compressed=as_estimate(share(self.both + self.fixed)),
            delta=PairedDelta(
                value=difference.value,
                low=difference.low,
                high=difference.high,
                p_value=mcnemar_exact(self.broken, self.fixed),
                worst_case=paired_lower_bound(self.broken, self.fixed, self.samples, confidence),
            ),
        )

    def equivalence(self, metric: str, margin: float, confidence: float) -> Equivalence | None:
        """Whether the compressed model is no worse by more than a margin; None without samples."""
        if not self.samples:
            return None
        counts, swapped = (self.broken, self.fixed), (self.fixed, self.broken)
        if paired_lower_bound(*counts, self.samples, confidence) >= -margin:
            return Equivalence(metric=metric, margin=margin, status="no_worse", samples=None)
        if -paired_lower_bound(*swapped, self.samples, confidence) < -margin:
            return Equivalence(metric=metric, margin=margin, status="worse", samples=None)
        needed = samples_to_decide(*counts, self.samples, margin, confidence)
        return Equivalence(
            metric=metric,
            margin=margin,
            status="undecided",
            # So many were not enough, whatever was likely.
            samples=None if needed is None else max(needed, self.samples + 1),
        )


class PairedScores:
    """A number of each sample by both models, such as its cross-entropy or squared error.

    Args:
        better: whether a higher score is the better one, or a lower.
    """

    def __init__(self, better: Better = "lower") -> None:
        self._better = better
        self._original = Moments()
        self._compressed = Moments()
        self._difference = Moments()

    def update(self, original: NDArray[Any], compressed: NDArray[Any]) -> None:
        """Take in one batch."""
        with np.errstate(invalid="ignore", over="ignore"):
            difference = compressed - original
        self._original = self._original.merge(Moments.of(original))
        self._compressed = self._compressed.merge(Moments.of(compressed))
        self._difference = self._difference.merge(Moments.of(difference))

    def merge(self, other: PairedScores) -> None:
        """Take in what was seen of other samples."""
        self._original = self._original.merge(other._original)
        self._compressed = self._compressed.merge(other._compressed)
        self._difference = self._difference.merge(other._difference)

    def result(self, confidence: float) -> PairedMetric | None:
        """Both means, their paired difference with a t interval, and the paired t-test's p-value.

        None without samples, and when a score is not finite: no average may hide that.
        """
        difference = self._difference
        if difference.count == 0 or not np.isfinite(difference.mean):
            return None
        interval = difference.interval(confidence)
        one_sided = difference.interval(two_sided_level(confidence))
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
                worst_case=worst_of(one_sided, self._better),
            ),
        )


def jackknifed(
    values: tuple[float, float],
    without: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    sizes: NDArray[np.int64],
    confidence: float,
    better: Better,
) -> PairedMetric:
    """A figure of both models that is no mean over the samples.

    Args:
        values: the original's and the compressed model's, of all samples.
        without: of each, the figure without one group, (groups,); None where no interval is to be.
        sizes: how many samples are in each group.
        confidence: of the intervals.
        better: whether a higher figure is the better one, or a lower.
    """
    change = values[1] - values[0]
    errors: tuple[float | None, ...] = (None, None, None)
    if without is not None:
        errors = (
            jackknife_error(values[0], without[0], sizes),
            jackknife_error(values[1], without[1], sizes),
            jackknife_error(change, without[1] - without[0], sizes),
        )
    interval = jackknife_interval(change, errors[2], sizes, confidence)
    one_sided = jackknife_interval(change, errors[2], sizes, two_sided_level(confidence))
    return PairedMetric(
        original=as_estimate(jackknife_interval(values[0], errors[0], sizes, confidence)),
        compressed=as_estimate(jackknife_interval(values[1], errors[1], sizes, confidence)),
        delta=PairedDelta(
            value=change,
            low=interval.low,
            high=interval.high,
            p_value=jackknife_p_value(change, errors[2], sizes),
            worst_case=worst_of(one_sided, better),
        ),
    )


def worst_of(one_sided: Interval, better: Better) -> float | None:
    """The limit of a one-sided interval that lies towards the worse."""
    return one_sided.low if better == "higher" else one_sided.high
